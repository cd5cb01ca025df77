"""Whole evaluations: a policy generates, its outputs are scored, both are saved. One module per benchmark."""
