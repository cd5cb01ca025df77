"""What a recipe says about rewards that the command line has left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gd2po.report.wording import join


def without_dropped(values: Mapping[str, Any], reward_funcs: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """A recipe's values without the options of rewards that the run does not have, and a note on what was dropped.

    Args:
        values: of the recipe.
        reward_funcs: that the command line names.

    Example:
        >>> recipe = {"reward_funcs": ["a", "b"], "reward_kwargs": {"b": {"low": 1}}, "reward_weights": [1, 2]}
        >>> without_dropped(recipe, ["mine.correct"])[1]
        ["reward_kwargs of b and reward_weights belong to the recipe's rewards and were left out."]
    """
    kept, dropped = dict(values), []
    before = values.get("reward_funcs")
    if not isinstance(before, list) or list(before) == list(reward_funcs):
        return kept, []
    gone = [name for name in before if name not in reward_funcs]
    names = {logged_name(name) for name in gone} - {logged_name(name) for name in reward_funcs}
    kwargs = values.get("reward_kwargs")
    if isinstance(kwargs, dict) and not kwargs.keys().isdisjoint({*gone, *names}):
        kept["reward_kwargs"] = {name: options for name, options in kwargs.items() if name not in {*gone, *names}}
        dropped.append(f"reward_kwargs of {join([name for name in kwargs if name in {*gone, *names}])}")
    families = values.get("reward_families")
    if isinstance(families, dict) and not families.keys().isdisjoint(names):
        kept["reward_families"] = {name: label for name, label in families.items() if name not in names} or None
        dropped.append(f"reward_families of {join([name for name in families if name in names])}")
    conditions = values.get("reward_conditions")
    if isinstance(conditions, list):
        left = [one for one in conditions if not (isinstance(one, dict) and {one.get("reward"), one.get("on")} & names)]
        if len(left) < len(conditions):
            kept["reward_conditions"] = left or None
            dropped.append("reward_conditions on them")
    weights = values.get("reward_weights")
    if isinstance(weights, dict):
        if not weights.keys().isdisjoint(names):
            kept["reward_weights"] = {name: weight for name, weight in weights.items() if name not in names} or None
            dropped.append(f"reward_weights of {join([name for name in weights if name in names])}")
    elif weights is not None:  # one per reward, by place
        del kept["reward_weights"]
        dropped.append("reward_weights")
    if not dropped:
        return kept, []
    return kept, [f"{join(dropped, len(dropped))} belong to the recipe's rewards and were left out."]


def logged_name(name: str) -> str:
    """The name under which a reward function is logged, of the one that the configuration gives it."""
    return name.rpartition(".")[2]
