"""Can a reward function teach on the rollouts of a run? What never can is an error; what is seldom meant, a warning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gd2po.errors import RewardFunctionError
from gd2po.rewards.check.calls import RewardCaller
from gd2po.rewards.check.report import RewardFunctionReport, examine, require_signature
from gd2po.rewards.check.samples import given_batch
from gd2po.rewards.protocol import Completion
from gd2po.rewards.registry import callable_name
from gd2po.rewards.scores import num_nan


def check_columns(reward_func: Callable[..., Any], row: Mapping[str, Any]) -> None:
    """Raise where TRL's keywords and the columns of a data set cannot be bound to the function's arguments.

    Args:
        reward_func: a reward function.
        row: of the data set.

    Raises:
        RewardFunctionError: a column is missing, or the function does not take all of them.
    """
    completion: Completion = "" if isinstance(row["prompt"], str) else [{"role": "assistant", "content": ""}]
    batch = given_batch([completion], columns_of([row]))
    require_signature(reward_func, callable_name(reward_func), batch, list(row))


def check_on_rollouts(
    reward_func: Callable[..., Any],
    completions: Sequence[Completion],
    rows: Sequence[Mapping[str, Any]],
    further_rows: Sequence[Mapping[str, Any]] = (),
) -> RewardFunctionReport:
    """The scores of rollouts and what to warn about, after checking that the function can teach anything.

    Args:
        reward_func: a reward function.
        completions: N rollouts.
        rows: of the data set that they are for.
        further_rows: other rows, which a function that applies to none of the rollouts is tried on.

    Raises:
        RewardFunctionError: it raises, returns anything but a score per completion, NaN for all of them, or applies to
            nothing.
    """
    with RewardCaller(reward_func, allow_nan=True) as caller:
        batch = given_batch(completions, columns_of(rows))
        require_signature(reward_func, caller.name, batch, list(rows[0]))
        nans = num_nan(caller.returned(batch.keywords(), batch.form))
        if nans == len(completions):
            raise RewardFunctionError(
                f"Reward function `{caller.name}` returned NaN for all {_rollouts(nans)}: it never applies "
                "and teaches nothing. Look for 0 / 0 or the mean of nothing."
            )
        scores, findings = examine(caller, [batch])
        if nans:
            findings.append(
                f"returned NaN for {nans} of {_rollouts(len(completions))}, which counts as not applying. "
                "Look for 0 / 0 or the mean of nothing, and return None where that is meant."
            )
        applicable = [score for score in scores if score is not None]
        if not applicable:
            findings.append(_never_applies(caller, completions, further_rows))
        elif len(applicable) > 1 and len(set(applicable)) == 1:
            findings.append(
                f"gives {_rollouts(len(applicable))} the same score, {applicable[0]:g}. A reward that "
                "never tells rollouts apart teaches nothing: check that it can be earned and missed."
            )
    messages = tuple(f"Reward function `{caller.name}` {finding}" for finding in findings)
    return RewardFunctionReport(name=caller.name, scores=tuple(scores), warnings=messages)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The columns of rows, without those that TRL keeps to itself."""
    own = ("completion", "completions", "completion_ids")
    return {name: [row[name] for row in rows] for name in rows[0] if name not in own}


def _never_applies(caller: RewardCaller, completions: Sequence[Completion], rows: Sequence[Mapping[str, Any]]) -> str:
    """The warning about a function that applies to none of the rollouts, which may be meant for rare prompts.

    Raises:
        RewardFunctionError: it applies to no other row of the data set either.
    """
    tried = f"none of {_rollouts(len(completions))}"
    if rows:
        batch = given_batch([completions[row % len(completions)] for row in range(len(rows))], columns_of(rows))
        try:
            scores = caller.checked(caller.returned(batch.keywords(), batch.form), len(batch))
        except RewardFunctionError:  # completions of other prompts may be more than it can take
            scores = [0.0]
        if all(score is None for score in scores):
            raise RewardFunctionError(
                f"Reward function `{caller.name}` applies to {tried}, and to none of "
                f"{len(rows)} further row{'s' * (len(rows) > 1)} of the data set (None for all): it teaches nothing. "
                "Check that it can read the references, such as `answer`, that the data set has."
            )
    return f"applies to {tried} (None for all). Check that it can read the references of the data set."


def _rollouts(count: int) -> str:
    return f"{count} rollout{'s' * (count > 1)}"
