"""Rollouts in and out: the writer of the rollout log beside the readers of all logs."""
