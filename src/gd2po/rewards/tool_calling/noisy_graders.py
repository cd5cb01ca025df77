"""Two graders of the same quality whose errors are independent: rewards on which every conflict is noise."""

import hashlib
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

from gd2po.errors import InvalidInputError
from gd2po.rewards.completions import completion_texts, require_number
from gd2po.rewards.protocol import Completion
from gd2po.rewards.tool_calling.quality import answer_quality


def noisy_grader_a(
    completions: Sequence[Completion],
    answer: Sequence[str | None],
    *,
    noise: float = 0.25,
    seed: int = 0,
    **kwargs: Any,
) -> list[float | None]:
    r"""The quality of each answer as a grader sees it who errs by about `noise`: quality + noise * error.

    quality is `answer_quality`. error is standard normal, drawn from a hash of the completion's text, the grader and
    `seed`: the same text gets the same grade on every machine, and the errors of `noisy_grader_a` and `noisy_grader_b`
    are independent.

    Such graders stand for two reward models of the same quality. They agree wherever the answers of a group differ
    enough, so a filter of conflicts drops rollouts of which the grades say little.

    Args:
        completions: N strings or message lists (of these, the last assistant message is scored).
        answer: N reference answers' texts in RLLA format, or None.
        noise: standard deviation of the errors, in units of the quality; 0 or greater.
        seed: another seed, another pair of graders.
        **kwargs: other columns and TRL's own keywords; not used.

    Returns:
        N scores; None where the reference is None. Most are in [0, 1], give or take the noise.

    Raises:
        InvalidInputError: `answer` and `completions` differ in length, or `noise` is negative.
        InvalidTypeError: an argument has the wrong type.

    Example:
        >>> reference = "<think> easy </think>\n<response> 4 </response>"
        >>> noisy_grader_a([reference, "4"], [reference, None], noise=0.0)
        [1.0, None]
        >>> noisy_grader_a([reference], [reference]) == noisy_grader_b([reference], [reference])
        False
    """
    return _grades("a", completions, answer, noise, seed)


def noisy_grader_b(
    completions: Sequence[Completion],
    answer: Sequence[str | None],
    *,
    noise: float = 0.25,
    seed: int = 0,
    **kwargs: Any,
) -> list[float | None]:
    """The same quality as `noisy_grader_a` sees it, with errors of its own; arguments and errors are the same."""
    return _grades("b", completions, answer, noise, seed)


def _grades(
    grader: str, completions: Sequence[Completion], answer: Sequence[str | None], noise: float, seed: int
) -> list[float | None]:
    require_number("noise", noise)
    if noise < 0:
        raise InvalidInputError(f"`noise` must be 0 or greater, got {noise}.")
    qualities = answer_quality(completions, answer)
    return [
        None if quality is None else quality + noise * _error(f"{grader} {seed}\n{text}")
        for text, quality in zip(completion_texts(completions), qualities, strict=True)
    ]


def _error(key: str) -> float:
    """A standard normal number that depends on nothing but the key."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    # Half a unit off either end: the quantiles of 0 and 1 are infinite.
    uniform = (int.from_bytes(digest[:6], "big") + 0.5) / 2**48
    return NormalDist().inv_cdf(uniform)
