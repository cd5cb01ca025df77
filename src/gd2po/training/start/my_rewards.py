"""Rewards of a run: functions that score a batch of completions.

TRL calls them with keywords: `completions`, `prompts`, and every other column of the data set. A function names those
that it reads and takes the rest in **columns. It returns one number per completion, or None where it does not apply;
higher is better. A completion is a model's output and may hold anything, the empty text included.
"""

from typing import Any

from gd2po.rewards import completion_texts


def correct(completions: Any, answer: list[str], **columns: Any) -> list[float]:
    """1 where what follows the thoughts is the reference's, in the column `answer`, and 0 elsewhere."""
    texts = completion_texts(completions)  # of texts and of messages of a chat alike
    return [float(_result(text) == _result(reference)) for text, reference in zip(texts, answer, strict=True)]


def brief(completions: Any, *, most_words: int = 40, **columns: Any) -> list[float]:
    """1 up to so many words, and less the longer; options stand behind the `*` and are set in reward_kwargs."""
    counts = [len(text.split()) for text in completion_texts(completions)]
    return [min(1.0, most_words / max(count, 1)) for count in counts]


def _result(text: str) -> str:
    """The text after its thoughts, without blanks."""
    return "".join(text.rpartition("</think>")[2].split())
