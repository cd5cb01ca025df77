"""Episodes of verifiers and prime-rl: `traces.jsonl`, one per line. Written against verifiers 0.2 to 0.4, prime-rl 0.8.

An episode holds the traces of its agents, and each trace its rewards with their weights. prime-rl writes the episodes
of a step that were trained on to `rollouts/step_<N>/train/effective`; an evaluation has no steps. In verifiers 0.2 a
line is one trace, and its rewards are multiplied by weights that are not written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from gd2po.logs.dialects.base import Dialect, Lines, Rewards
from gd2po.logs.names import REWARD_PREFIX, WEIGHT_PREFIX

_STEP_FOLDER = re.compile(r"step_(\d+)")


def rollouts_of_episode(episode: Mapping[str, Any], path: Path) -> Sequence[Mapping[str, Any]]:
    """A row per trace of the policy: its rewards and their weights; metrics have no weight and are no rewards.

    A group is what the trainer says it is, else the episodes of one task. The step is that of the folder, in which the
    trainer's batch lies: an episode may have been sent out steps before.

    Example:
        >>> trace = {"nodes": [], "rewards": {"correct": {"score": 1.0, "weight": 0.5}}}
        >>> row = rollouts_of_episode({"task": {"key": "t"}, "traces": [trace]}, Path("step_3/traces.jsonl"))[0]
        >>> row["step"], row["group_id"], row["reward/correct"], row["weight/correct"]
        (3, 't', 1.0, 0.5)
    """
    traces = [trace for trace in episode.get("traces", [episode]) if (trace.get("agent") or {}).get("trainable", True)]
    group = _group(episode)
    step = _step(episode, path)
    rows = []
    for trace in traces:
        agent = (trace.get("agent") or {}).get("name", "agent")
        rewards = {name: reward for name, reward in trace["rewards"].items() if reward is not None}
        weighted = {name: reward for name, reward in rewards.items() if isinstance(reward, Mapping)}
        prompt, completion = _texts(trace["nodes"])
        rows.append(
            {
                "step": step,
                "group_id": group if len(traces) == 1 else f"{group} {agent}",
                "agent": agent,
                "prompt": prompt,
                "completion": completion,
                "num_output_tokens": _output_tokens(trace),
                **{f"{REWARD_PREFIX}{name}": reward for name, reward in rewards.items()},
                **{f"{REWARD_PREFIX}{name}": reward["score"] for name, reward in weighted.items()},
                **{f"{WEIGHT_PREFIX}{name}": reward.get("weight", 1.0) for name, reward in weighted.items()},
            }
        )
    return rows


def _group(episode: Mapping[str, Any]) -> str:
    """The trainer's name of the group, else the task's."""
    group = (episode.get("group") or {}).get("id")
    task = episode["task"]
    return str(group or task.get("key") or task.get("hash") or json.dumps(task, sort_keys=True))


def _step(episode: Mapping[str, Any], path: Path) -> int:
    """The step of the batch; 0 in an evaluation."""
    folders = [match for part in path.parts if (match := _STEP_FOLDER.fullmatch(part))]
    if folders:
        return int(folders[-1][1])
    run = episode.get("run") or {}
    return int((run.get("work") or run).get("step") or 0)


def _output_tokens(trace: Mapping[str, Any]) -> int:
    """The tokens that the policy wrote; before verifiers 0.4 each call of the model counts its own."""
    if trace.get("num_output_tokens") is not None:
        return int(trace["num_output_tokens"])
    return sum((call.get("usage") or {}).get("completion_tokens", 0) for call in trace.get("calls", ()))


def _texts(nodes: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[Any]]:
    """The messages before the first that the policy wrote, and the others."""
    first = next((number for number, node in enumerate(nodes) if node.get("sampled")), len(nodes))
    messages = [{"content": node["message"].get("content")} for node in nodes]
    return messages[:first], messages[first:]


def _multiplied(head: pa.Table, prompt: str | None, candidates: Sequence[str]) -> Rewards | None:
    """The rewards of a log without their weights; None where it has them."""
    if any(name.startswith(WEIGHT_PREFIX) for name in head.column_names):
        return None
    rewards = [name for name in head.column_names if name.startswith(REWARD_PREFIX)]
    return Rewards(
        rewards,
        "verifiers 0.2 logs each reward times its weight, and not the weight. Methods that standardise each reward "
        "need the weights (`reward_weights`); in a plain sum they would count twice.",
    )


DIALECT = Dialect(
    name="verifiers",
    title="episodes of verifiers or prime-rl",
    recognises=lambda columns: {"step", "group_id", "agent", "num_output_tokens"} <= columns,
    step="step",
    group="group_id",
    prompt="prompt",
    completion="completion",
    length="num_output_tokens",
    find_rewards=_multiplied,
    lines=Lines(
        lambda first: {"task", "traces", "env"} <= set(first) or {"task", "nodes", "rewards"} <= set(first),
        rollouts_of_episode,
    ),
    folders=("rollouts/step_*/train/effective", "step_*/train/effective"),
    how_to_log="prime-rl (rollouts/)",
    scatters_groups=True,  # episodes are written as they end
)
