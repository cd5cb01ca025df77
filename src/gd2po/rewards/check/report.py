"""Tells what is wrong with a reward function before a run does."""

import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gd2po.errors import InvalidInputError, RewardFunctionError
from gd2po.rewards.check.calls import RewardCaller
from gd2po.rewards.check.samples import SampleBatch, builtin_batches, given_batch
from gd2po.rewards.protocol import Completion

Scores = list[float | None]


class RewardFunctionWarning(UserWarning):
    """A reward function works and does something that is seldom meant."""


@dataclass(frozen=True)
class RewardFunctionReport:
    """What `check_reward_func` found.

    Args:
        name: The name under which TRL logs the function.
        scores: Its scores of the sample completions, None where it does not apply.
        warnings: What was warned about; empty for a function without findings.
    """

    name: str
    scores: tuple[float | None, ...]
    warnings: tuple[str, ...]


def check_reward_func(
    reward_func: Callable[..., Any],
    completions: Sequence[Completion] | None = None,
    answer: Sequence[str | None] | None = None,
    **columns: Any,
) -> RewardFunctionReport:
    """The scores of sample completions, after checking that TRL can train on this reward function.

    The function is called as TRL calls it, with keywords, on the whole batch, again on the same batch, in
    reverse order and in two halves. It must accept every keyword and return one finite number or None per
    completion.

    Warned about: scores that change from call to call, with the order or with the rest of the batch; the
    same score for every completion, or none for any; changed arguments; a function that takes only one of
    strings and message lists, or scores them differently.

    Args:
        reward_func: A function, coroutine function, partial or object with `__call__`.
        completions: Samples in the form in which your data set passes them: strings for plain prompts,
            message lists for conversational ones. None: eight built-in completions in the RLLA format, in
            both forms.
        answer: References of `completions`, where your data set has that column.
        **columns: Its other columns, one value per completion; `prompt` among them. `trainer_state`,
            `log_extra` and `log_metric` replace the stand-ins for what TRL passes.

    Returns:
        Name, scores and warnings.

    Raises:
        RewardFunctionError: The function cannot be trained on; the message says why and what to do. An
            exception of the function's own is its cause.
        InvalidInputError: The samples do not fit together.

    Example:
        >>> def politeness(completions, **kwargs):
        ...     return ["welcome" in str(completion) for completion in completions]
        >>> check_reward_func(politeness).scores
        (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
        >>> check_reward_func(lambda completions, **kwargs: 1.0)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        gd2po.errors.RewardFunctionError: Reward function `<lambda>` must return a list with one score ...
    """
    _require_function(reward_func)
    batches = _sample_batches(completions, answer, columns)
    with RewardCaller(reward_func) as caller:
        require_signature(reward_func, caller.name, batches[0])
        scores, findings = examine(caller, batches)
    findings += _uninformative(scores)
    messages = tuple(f"Reward function `{caller.name}` {finding}" for finding in findings)
    for message in messages:
        warnings.warn(message, RewardFunctionWarning, stacklevel=2)
    return RewardFunctionReport(name=caller.name, scores=tuple(scores), warnings=messages)


def examine(caller: RewardCaller, batches: list[SampleBatch]) -> tuple[Scores, list[str]]:
    """The scores of the first batch that the function takes, and what it does on the batches that is seldom meant.

    Raises:
        RewardFunctionError: it takes none of them, or returns anything but a score per completion.
    """
    scored, findings = _score_forms(caller, batches)
    return scored[0][1], findings + _unstable(caller, scored)


def _require_function(reward_func: Any) -> None:
    """Raise unless this is a function; reward models go through TRL's own path."""
    if isinstance(reward_func, str) or hasattr(reward_func, "get_input_embeddings"):
        raise RewardFunctionError(
            "A reward model, or its id, is run by TRL itself and not called with completions: there is "
            "nothing to check before a run. Pass a reward function."
        )
    if not callable(reward_func):
        raise RewardFunctionError(
            f"A reward function must be callable, got {type(reward_func).__name__}. Pass the function "
            "itself, not what it returns."
        )


def _sample_batches(
    completions: Sequence[Completion] | None, answer: Sequence[str | None] | None, columns: dict[str, Any]
) -> list[SampleBatch]:
    """The user's samples, or the built-in ones in both forms."""
    if answer is not None:
        columns = {"answer": answer, **columns}
    if completions is not None:
        return [given_batch(completions, columns)]
    if columns:
        raise InvalidInputError(
            f"`completions` is missing: {_listed(list(columns))} need the sample completions they belong to."
        )
    return builtin_batches()


def require_signature(
    reward_func: Callable[..., Any], name: str, batch: SampleBatch, columns: Sequence[str] | None = None
) -> None:
    """Raise where TRL's keywords cannot be bound to the function's arguments.

    Args:
        reward_func: a reward function.
        name: its name.
        batch: what it would be called with.
        columns: of the data set of a run; None for samples, of which the caller may give more.

    Raises:
        RewardFunctionError: they cannot.
    """
    try:
        parameters = inspect.signature(reward_func).parameters
    except (TypeError, ValueError):  # some callables written in C have none; the call itself will show
        return
    passed = batch.keywords()
    kinds = {key: parameter.kind for key, parameter in parameters.items()}
    required = [key for key, parameter in parameters.items() if parameter.default is parameter.empty]
    positional_only = [key for key in required if kinds[key] is inspect.Parameter.POSITIONAL_ONLY]
    if positional_only:
        raise RewardFunctionError(
            f"Reward function `{name}` takes {_listed(positional_only)} by position only, and TRL passes "
            "keywords. Remove the `/` from its signature."
        )
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    missing = [key for key in required if kinds[key] in by_keyword and key not in passed]
    if missing and columns is not None:
        raise RewardFunctionError(
            f"Reward function `{name}` needs {_listed(missing)}, and the data set has the columns {_listed(columns)}. "
            "Add or rename the column; where it is an option, put it behind a `*` in the signature and set it in "
            "`reward_kwargs`, or give it a default."
        )
    if missing:
        raise RewardFunctionError(
            f"Reward function `{name}` needs {_listed(missing)}, and neither TRL nor the samples have it. "
            f"Where it is a column of your data set, pass samples of it: check_reward_func({name}, "
            f"completions=[...], {missing[0]}=[...]). Where it is an option, give it a default."
        )
    refused = [key for key in passed if key not in parameters]
    if refused and inspect.Parameter.VAR_KEYWORD not in kinds.values():
        raise RewardFunctionError(
            f"Reward function `{name}` does not accept {_listed(refused)}. TRL passes these and every column "
            "of the data set: add `**kwargs` to its signature."
        )


def _score_forms(
    caller: RewardCaller, batches: list[SampleBatch]
) -> tuple[list[tuple[SampleBatch, Scores]], list[str]]:
    """The batches that the function takes with its scores, at least one, and findings about the calls."""
    scored: list[tuple[SampleBatch, Scores]] = []
    failures: list[tuple[SampleBatch, RewardFunctionError]] = []
    findings = []
    for batch in batches:
        keywords = batch.keywords()
        try:
            returned = caller.returned(keywords, batch.form)
        except RewardFunctionError as error:
            failures.append((batch, error))
            continue
        scored.append((batch, caller.checked(returned, len(batch))))
        findings += _changed_arguments(keywords, batch)
    if not scored:
        raise failures[0][1]
    findings += [
        f"takes {scored[0][0].form} and fails on {batch.form} ({type(failure.__cause__).__name__}). TRL "
        "passes strings for plain prompts and message lists for conversational ones: read the text with "
        "gd2po.rewards.completion_texts to take both."
        for batch, failure in failures
    ]
    return scored, list(dict.fromkeys(findings))


def _changed_arguments(keywords: dict[str, Any], batch: SampleBatch) -> list[str]:
    """A finding where the call changed its arguments, which the next reward function gets as well."""
    before = batch.keywords()
    # Other columns may hold objects that do not compare; these four are plain data.
    plain = {"prompts", "completions", "completion_ids", "answer"} & before.keys()
    changed = sorted(key for key in plain if keywords[key] != before[key])
    if not changed:
        return []
    return [f"changes its arguments ({_listed(changed)}), which the next reward function gets. Copy them first."]


def _unstable(caller: RewardCaller, scored: list[tuple[SampleBatch, Scores]]) -> list[str]:
    """Findings where a score changes with anything but the text it is for."""
    batch, scores = scored[0]
    if not _same(scores, caller.scores(batch)):
        return [
            "scores the same completions differently from call to call. A random score is noise in the "
            "advantages: seed it, or let a judge decode greedily."
        ]
    findings = []
    if not all(_same(scores, others) for _, others in scored):
        findings.append(
            "scores a text differently as a string and as a message list. Read the text with "
            "gd2po.rewards.completion_texts; len() of a message list, for one, counts messages."
        )
    changed = _batch_dependence(caller, batch, scores)
    if changed:
        findings.append(
            f"scores a completion differently when the batch is {changed}. A batch is what one process has "
            "of several prompts, so such a score depends on the batch size and the number of processes. Score "
            "each completion by itself: comparing those of a group is what the advantage does."
        )
    return findings


def _batch_dependence(caller: RewardCaller, batch: SampleBatch, scores: Scores) -> str | None:
    """What has to be done to the batch to change a score in it, None where nothing does."""
    rows = range(len(batch))
    middle = len(batch) // 2
    if not _same(scores[::-1], caller.scores(batch.rows(rows[::-1]))):
        return "reversed"
    if middle:
        halves = caller.scores(batch.rows(rows[:middle])) + caller.scores(batch.rows(rows[middle:]))
        if not _same(scores, halves):
            return "split in two"
    return None


def _uninformative(scores: Scores) -> list[str]:
    """A finding where the scores do not tell any two samples apart."""
    applicable = [score for score in scores if score is not None]
    if not applicable:
        return ["applies to no sample completion (None for all). Pass samples of your own data set."]
    if len(applicable) > 1 and len(set(applicable)) == 1:
        return [
            f"gives every sample completion the same score, {applicable[0]:g}. A constant reward teaches "
            "nothing. Pass samples of your own data set, good and bad ones."
        ]
    return []


def _same(first: Scores, second: Scores) -> bool:
    """True where two score lists agree up to the noise of a batched model."""
    return all(
        a is b if a is None or b is None else math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5)
        for a, b in zip(first, second, strict=True)
    )


def _listed(names: Sequence[str]) -> str:
    """Names in backquotes, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)
