"""Judges that can be fooled: the true quality of an answer plus errors that a policy can learn to exploit."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, get_args

from gd2po.errors import InvalidInputError, InvalidTypeError
from gd2po.rewards.completions import completion_texts, require_number
from gd2po.rewards.protocol import Completion
from gd2po.rewards.tool_calling.quality import answer_quality
from gd2po.rewards.tool_calling.text import THINK_CLOSE, think_text

Tail = Literal["normal", "t2"]


def judge_a(
    completions: Sequence[Completion],
    answer: Sequence[str | None],
    *,
    noise: float = 0.0,
    tail: Tail = "normal",
    gross: float = 0.0,
    gross_share: float = 0.0,
    phrase: str = "",
    phrase_bonus: float = 0.0,
    length_bonus: float = 0.0,
    length_words: float = 40,
    seed: int = 0,
    **kwargs: Any,
) -> list[float | None]:
    r"""The quality of each answer as a judge sees it: quality + noise * error + what fools it.

    quality is `answer_quality`. The errors are *persistent*: they are drawn from a hash of the reference and of what
    the answer says after its thought, so the same answer to the same prompt is always misjudged alike, as by a reward
    model, and a policy that meets it again can learn it. `judge_b` errs independently. On top of that come errors that
    a policy can learn on all prompts at once: a phrase that the judge likes, and long thoughts.

    Args:
        completions: N strings or message lists (of these, the last assistant message is scored).
        answer: N reference answers' texts in RLLA format, or None.
        noise: scale of the errors, in units of the quality; 0 or greater.
        tail: their distribution: "normal", or "t2" for Student's t with 2 degrees of freedom.
        gross: what is added to a share `gross_share` of the answers, by a hash of its own.
        gross_share: from 0 to 1.
        phrase: text that fools the judge wherever it stands in the completion.
        phrase_bonus: what it adds.
        length_bonus: what a thought of `length_words` words and more adds; shorter ones add their share of it.
        length_words: greater than 0.
        seed: another seed, other errors.
        **kwargs: other columns and TRL's own keywords; not used.

    Returns:
        N scores; None where the reference is None.

    Raises:
        InvalidInputError: `answer` and `completions` differ in length, or an option is out of its range.
        InvalidTypeError: an argument has the wrong type.

    Example:
        >>> reference = "<think> easy </think>\n<response> 4 </response>"
        >>> glad = reference.replace("4", "I am glad you ask")
        >>> judge_a([reference, glad], [reference] * 2, phrase="glad", phrase_bonus=0.5)
        [1.0, 1.5]
    """
    errors = Errors(noise, tail, gross, gross_share, phrase, phrase_bonus, length_bonus, length_words, f"a {seed}")
    return errors.grades(completions, answer)


def judge_b(
    completions: Sequence[Completion],
    answer: Sequence[str | None],
    *,
    noise: float = 0.0,
    tail: Tail = "normal",
    gross: float = 0.0,
    gross_share: float = 0.0,
    phrase: str = "",
    phrase_bonus: float = 0.0,
    length_bonus: float = 0.0,
    length_words: float = 40,
    seed: int = 0,
    **kwargs: Any,
) -> list[float | None]:
    """The same quality as a judge sees it whose errors are independent of `judge_a`'s; arguments are the same."""
    errors = Errors(noise, tail, gross, gross_share, phrase, phrase_bonus, length_bonus, length_words, f"b {seed}")
    return errors.grades(completions, answer)


@dataclass(frozen=True)
class Errors:
    """What a judge adds to the quality of an answer; the fields are the options of `judge_a`."""

    noise: float
    tail: Tail
    gross: float
    gross_share: float
    phrase: str
    phrase_bonus: float
    length_bonus: float
    length_words: float
    key: str
    """Of the judge and its seed."""

    def __post_init__(self) -> None:
        for name in ("noise", "gross", "gross_share", "phrase_bonus", "length_bonus", "length_words"):
            require_number(name, getattr(self, name))
        if not isinstance(self.phrase, str):
            raise InvalidTypeError(f"`phrase` must be text, got {self.phrase!r} ({type(self.phrase).__name__}).")
        if self.noise < 0:
            raise InvalidInputError(f"`noise` must be 0 or greater, got {self.noise}.")
        if self.tail not in get_args(Tail):
            raise InvalidInputError(f'`tail` must be "normal" or "t2", got {self.tail!r}.')
        if not 0 <= self.gross_share <= 1:
            raise InvalidInputError(f"`gross_share` must be from 0 to 1, got {self.gross_share}.")
        if self.length_words <= 0:
            raise InvalidInputError(f"`length_words` must be greater than 0, got {self.length_words}.")

    def grades(self, completions: Sequence[Completion], answer: Sequence[str | None]) -> list[float | None]:
        """Quality and errors of each completion."""
        qualities = answer_quality(completions, answer)
        return [
            None if quality is None else quality + self._of(text, reference)
            for text, reference, quality in zip(completion_texts(completions), answer, qualities, strict=True)
        ]

    def _of(self, text: str, reference: str | None) -> float:
        """The errors of one answer."""
        key = f"{self.key}\n{reference}\n{text.rpartition(THINK_CLOSE)[2]}"
        error = self.noise * _quantile(_uniform(f"noise {key}"), self.tail) if self.noise else 0.0
        if self.gross and _uniform(f"gross {key}") < self.gross_share:
            error += self.gross
        if self.phrase and self.phrase in text:
            error += self.phrase_bonus
        if self.length_bonus:
            error += self.length_bonus * min(1.0, len((think_text(text) or "").split()) / self.length_words)
        return error


def _quantile(uniform: float, tail: Tail) -> float:
    """The quantile of the standard normal, or of Student's t with 2 degrees of freedom."""
    if tail == "normal":
        return NormalDist().inv_cdf(uniform)
    return (2 * uniform - 1) / math.sqrt(2 * uniform * (1 - uniform))


def _uniform(key: str) -> float:
    """A number strictly between 0 and 1 that depends on nothing but the key."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48
