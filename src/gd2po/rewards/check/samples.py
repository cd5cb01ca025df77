"""Sample batches that `check_reward_func` hands to a reward function, with the keywords that TRL passes."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final

from gd2po.errors import InvalidInputError
from gd2po.rewards.completions import completion_texts
from gd2po.rewards.protocol import Completion

# A data set's `prompt` column reaches reward functions as `prompts`; these are not columns at all.
RUN_KEYWORDS: Final = ("trainer_state", "log_extra", "log_metric")

_CALL: Final = '<tool_call>\n{"name": "get_weather", "parameters": {"city": "Oslo", "days": 2}}\n</tool_call>'
_CALL_ANSWER: Final = f"<think> The user asks for the weather. </think>\n{_CALL}"
_RESPONSE_ANSWER: Final = "<think> No tool is needed. </think>\n<response> You are welcome! </response>"
_SAMPLES: Final = (
    (_CALL_ANSWER, _CALL_ANSWER),
    (_CALL_ANSWER.replace("Oslo", "Bergen"), _CALL_ANSWER),
    (f"<think>{' so' * 600} </think>\n{_CALL}", _CALL_ANSWER),
    (_CALL_ANSWER[:-30], _CALL_ANSWER),
    ("", _CALL_ANSWER),
    (_RESPONSE_ANSWER, _RESPONSE_ANSWER),
    ("Gern geschehen! 🙂\n\n1 + 1 = 2", _RESPONSE_ANSWER),
    (_CALL_ANSWER, _RESPONSE_ANSWER),
)


@dataclass(frozen=True)
class SampleBatch:
    """One batch of a reward function's arguments.

    Args:
        completions: N strings or N message lists.
        prompts: N prompts in the same form.
        columns: Further columns of the data set, N values each.
        run_keywords: What TRL passes for the run as a whole.
    """

    completions: list[Completion]
    prompts: list[Any]
    columns: dict[str, list[Any]]
    run_keywords: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.completions)

    @property
    def form(self) -> str:
        """What the completions are, in words."""
        return "strings" if isinstance(self.completions[0], str) else "message lists"

    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of one call, all lists copied so that a call cannot change the batch."""
        batch = {
            "prompts": self.prompts,
            "completions": self.completions,
            "completion_ids": self._token_ids(),
        }
        return {**copy.deepcopy(batch | self.columns), **self.run_keywords}

    def rows(self, indices: Sequence[int]) -> "SampleBatch":
        """The batch of these rows, in this order."""
        return replace(
            self,
            completions=[self.completions[index] for index in indices],
            prompts=[self.prompts[index] for index in indices],
            columns={name: [values[index] for index in indices] for name, values in self.columns.items()},
        )

    def as_messages(self) -> "SampleBatch":
        """The same batch of strings as TRL passes it for a conversational data set."""
        return replace(
            self,
            completions=[[{"role": "assistant", "content": text}] for text in self.completions],
            prompts=[[{"role": "user", "content": text}] for text in self.prompts],
        )

    def _token_ids(self) -> list[list[int]]:
        """Token ids of a byte-level tokenizer."""
        return [list(text.encode("utf-8", "surrogatepass")) for text in completion_texts(self.completions)]


def builtin_batches() -> list[SampleBatch]:
    """Eight completions, right, wrong, cut off, empty and long, as strings and as message lists."""
    texts, answers = zip(*_SAMPLES, strict=True)
    batch = SampleBatch(
        completions=list(texts),
        prompts=["What is the weather in Oslo in the next two days?"] * len(texts),
        columns={"answer": list(answers)},
        run_keywords=_run_keywords(),
    )
    return [batch, batch.as_messages()]


def given_batch(completions: Sequence[Completion], columns: Mapping[str, Any]) -> SampleBatch:
    """The user's own samples as a batch."""
    size = len(completion_texts(completions))
    if size == 0:
        raise InvalidInputError(
            "`completions` is empty: give at least one sample, or leave it out for the built-in ones."
        )
    are_texts = {isinstance(completion, str) for completion in completions}
    if len(are_texts) > 1:
        raise InvalidInputError("`completions` must be all strings or all message lists, got a mixture of both.")
    run_keywords = {name: columns[name] for name in RUN_KEYWORDS if name in columns}
    lists = {name: _column(name, values, size) for name, values in columns.items() if name not in run_keywords}
    default = "" if are_texts.pop() else [{"role": "user", "content": ""}]
    prompt = lists.pop("prompt", [default] * size)
    prompts = lists.pop("prompts", prompt)
    return SampleBatch(list(completions), prompts, lists, _run_keywords() | run_keywords)


def _column(name: str, values: Any, size: int) -> list[Any]:
    """A column as a list of the right length."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidInputError(
            f"`{name}` must be a list with one value per completion, got {type(values).__name__}: "
            f"repeat a single value {size} times."
        )
    if len(values) != size:
        raise InvalidInputError(
            f"`{name}` needs one value per completion: expected {size} (the length of `completions`), "
            f"got {len(values)}."
        )
    return list(values)


def _run_keywords() -> dict[str, Any]:
    """Stand-ins for what TRL passes for the run: the trainer's state at its start, and two log functions."""
    state = SimpleNamespace(epoch=0.0, global_step=0, max_steps=100, num_train_epochs=1, log_history=[])
    return {"trainer_state": state, "log_extra": _log_extra, "log_metric": _log_metric}


def _log_extra(column: str, values: list[Any]) -> None:
    """Take a column for the completions table and drop it."""


def _log_metric(name: str, value: float) -> None:
    """Take a metric and drop it."""


def reference_completions(rows: Sequence[Mapping[str, Any]]) -> list[Completion]:
    """Completions made of the column `answer`: right, another row's, cut off, empty, in turn.

    Where a row has no answer in text, the built-in samples stand in.

    Example:
        >>> rows = [{"prompt": "1 + 1", "answer": "two"}, {"prompt": "1 + 2", "answer": "three"}]
        >>> reference_completions(rows)
        ['two', 'two']
    """
    made: list[Completion] = []
    for place, row in enumerate(rows):
        own, other = (one.get("answer") for one in (row, rows[place - 1]))
        stand_in = _SAMPLES[place % len(_SAMPLES)][0]
        own, other = (text if isinstance(text, str) else stand_in for text in (own, other))
        text = (own, other, own[: len(own) // 2], "")[place % 4]
        made.append(text if isinstance(row["prompt"], str) else [{"role": "assistant", "content": text}])
    return made
