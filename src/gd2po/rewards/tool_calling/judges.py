"""Judges that can be fooled: the true quality of an answer plus errors that a policy can learn to exploit."""

import hashlib
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, Final, Literal, get_args

from gd2po.errors import InvalidInputError, InvalidTypeError
from gd2po.rewards.completions import completion_texts, require_number
from gd2po.rewards.protocol import Completion
from gd2po.rewards.tool_calling.quality import answer_quality
from gd2po.rewards.tool_calling.text import THINK_CLOSE, think_text

Judge = Callable[..., list[float | None]]
Tail = Literal["normal", "t2"]

_DESCRIPTION: Final = r"""The quality of each answer as judge {letter} sees it: quality + noise * error + what fools it.

quality is `answer_quality`. The errors are *persistent*: they are drawn from a hash of the reference and of what the
answer says after its thought, so the same answer to the same prompt is always misjudged alike, as by a reward model,
and a policy that meets it again can learn it. Judges with other letters err independently. On top of that come errors
that a policy can learn on all prompts at once: a phrase that the judge likes, and long thoughts.

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
    >>> {name}([reference, glad], [reference] * 2, phrase="glad", phrase_bonus=0.5)
    [1.0, 1.5]
"""


def _judge(letter: str) -> Judge:
    """The judge of a letter."""

    def judge(
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
        numbers = {
            "noise": noise, "gross": gross, "gross_share": gross_share, "phrase_bonus": phrase_bonus,
            "length_bonus": length_bonus, "length_words": length_words,
        }  # fmt: skip
        for name, number in numbers.items():
            require_number(name, number)
        if not isinstance(phrase, str):
            raise InvalidTypeError(f"`phrase` must be text, got {phrase!r} ({type(phrase).__name__}).")
        _require_ranges(noise, tail, gross_share, length_words)
        scores: list[float | None] = []
        texts = completion_texts(completions)
        for text, reference, quality in zip(texts, answer, answer_quality(completions, answer), strict=True):
            if quality is None:
                scores.append(None)
                continue
            key = f"{letter} {seed}\n{reference}\n{text.rpartition(THINK_CLOSE)[2]}"
            score = quality
            if noise:
                score += noise * _error(_uniform(f"noise {key}"), tail)
            if gross and _uniform(f"gross {key}") < gross_share:
                score += gross
            if phrase and phrase in text:
                score += phrase_bonus
            if length_bonus:
                score += length_bonus * min(1.0, len((think_text(text) or "").split()) / length_words)
            scores.append(score)
        return scores

    judge.__name__ = judge.__qualname__ = f"judge_{letter}"  # pickled by name
    judge.__doc__ = _DESCRIPTION.format(letter=letter, name=judge.__name__)
    return judge


def _require_ranges(noise: float, tail: str, gross_share: float, length_words: float) -> None:
    """Raise unless the options are in range."""
    if noise < 0:
        raise InvalidInputError(f"`noise` must be 0 or greater, got {noise}.")
    if tail not in get_args(Tail):
        raise InvalidInputError(f'`tail` must be "normal" or "t2", got {tail!r}.')
    if not 0 <= gross_share <= 1:
        raise InvalidInputError(f"`gross_share` must be from 0 to 1, got {gross_share}.")
    if length_words <= 0:
        raise InvalidInputError(f"`length_words` must be greater than 0, got {length_words}.")


def _error(uniform: float, tail: Tail) -> float:
    """The quantile of the standard normal, or of Student's t with 2 degrees of freedom."""
    if tail == "normal":
        return NormalDist().inv_cdf(uniform)
    return (2 * uniform - 1) / math.sqrt(2 * uniform * (1 - uniform))


def _uniform(key: str) -> float:
    """A number strictly between 0 and 1 that depends on nothing but the key."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


judge_a = _judge("a")
judge_b = _judge("b")
judge_c = _judge("c")
judge_d = _judge("d")
