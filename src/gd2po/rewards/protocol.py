"""What a reward function is: TRL's signature, written down as types."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

Message: TypeAlias = Mapping[str, Any]
Completion: TypeAlias = str | Sequence[Message]


class RewardFunc(Protocol):
    """Scores one batch of completions: a score per completion, None where the reward does not apply.

    TRL calls it with keywords only: `prompts`, `completions`, `completion_ids`, every other column of the
    data set (one value per completion), `trainer_state`, `log_extra` and `log_metric`. A function names those
    it uses and takes the rest in `**kwargs`. It may be a coroutine function.

    Example:
        >>> def shortness(completions, **kwargs):
        ...     return [-float(len(text)) for text in completions]
        >>> shortness(["a", "abc"], prompts=["?", "?"])
        [-1.0, -3.0]

    Source: `trl.GRPOTrainer`, argument `reward_funcs`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The scores, list[float | None]; of a coroutine function, an awaitable of them."""
