"""Reward models as reward functions: a language model's body with a head that gives one score per conversation.

Two kinds of checkpoint load: the `score_head` of the published safety models, and what transformers loads with
`AutoModelForSequenceClassification`. Torch and transformers are imported when a model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gd2po.errors import ConfigError, InvalidInputError, InvalidTypeError
from gd2po.rewards.completions import completion_texts
from gd2po.rewards.models.reward_head import load_scorer
from gd2po.rewards.protocol import Completion, Message


class RewardModel:
    """A reward function with TRL's signature that asks a reward model.

    The model reads prompt and completion through the chat template of its own tokenizer, and where that has none as
    one line `ROLE: content` per message. Where prompts are plain text it reads them with the completion behind, as TRL
    does. Of a text longer than `max_length` it reads the end, since the score is taken from the last token. Batches
    are padded on the right; in float32 a score depends on its batch by rounding only, under 1e-5 of the scores' size.

    Args:
        model: folder or hub id. Weights load from safetensors only.
        name: what the reward is called in logs; None for the last part of `model`.
        device: such as "cuda:1" or "cpu"; None for the current GPU, or the CPU without one.
        dtype: "auto" for that of the checkpoint, or "float32", "bfloat16", "float16". Scores are float32 anyhow.
        batch_size: conversations scored together.
        max_length: most tokens of a conversation.
        offload: keep the model in the CPU's memory between uses.
        revision: branch, tag or commit of a hub id.
        trust_remote_code: run code that comes with the model.

    Raises:
        MissingDependencyError: transformers is not installed.
        ConfigError: the model cannot be loaded, its head is not in the checkpoint, it gives more than one score, or
            its tokenizer is another model's.
        InvalidInputError: `batch_size` or `max_length` is below 1.

    Example:
        ```python
        harmless = RewardModel("Artessay/Qwen2.5-7B-SafeRLHF-CM", name="harmless", dtype="bfloat16", offload=True)
        trainer = GD2POTrainer(..., reward_funcs=[harmless, brevity])
        ```

    Source: safety runs of GD²PO (arXiv:2606.16771).

    Deviations: the published code computes the head in the model's dtype; here it is computed in float32.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        device: str | None = None,
        dtype: str = "auto",
        batch_size: int = 8,
        max_length: int = 2048,
        offload: bool = False,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        for option, value in (("batch_size", batch_size), ("max_length", max_length)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInputError(f"`{option}` must be a whole number of at least 1, got {value!r}.")
        self.__name__ = name or Path(model).name
        self._batch_size = batch_size
        self._max_length = max_length
        self._offload = offload
        self._scorer = load_scorer(model, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code)
        self._tokenizer = self._scorer.tokenizer
        self._device = device
        if not offload:
            self._scorer.to(device)

    def __call__(
        self, completions: Sequence[Completion], prompts: Sequence[str | Sequence[Message]], **kwargs: Any
    ) -> list[float]:
        """The score of each completion behind its prompt.

        Args:
            completions: N strings or message lists.
            prompts: N strings or message lists.
            **kwargs: other columns and TRL's own keywords; not used.

        Returns:
            N scores, in the model's own unit.

        Raises:
            InvalidInputError: the two have different lengths.
            InvalidTypeError: a prompt or a completion has the wrong type.
        """
        return self.scores(conversation_texts(self._tokenizer, prompts, completions))

    def scores(self, texts: Sequence[str]) -> list[float]:
        """The score of each text, as it stands: templates are applied already.

        Texts are taken in order of length, so that little is padded, and scores come back in the order of `texts`.
        """
        encoded = [self._encode(text) for text in texts]
        order = sorted(range(len(encoded)), key=lambda row: -len(encoded[row]))
        scores = [0.0] * len(encoded)
        self._scorer.to(self._device)
        try:
            for start in range(0, len(order), self._batch_size):
                rows = order[start : start + self._batch_size]
                for row, score in zip(rows, self._scorer.scores([encoded[row] for row in rows]), strict=True):
                    scores[row] = score
        finally:
            if self._offload:
                self._scorer.to("cpu")
        return scores

    def _encode(self, text: str) -> list[int]:
        """The last tokens of a text, one for the empty text."""
        ids = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])[-self._max_length :]
        if ids:
            return ids
        # An empty text has no last token to take a score from.
        return [self._scorer.pad_token_id]


def conversation_texts(
    tokenizer: Any, prompts: Sequence[str | Sequence[Message]], completions: Sequence[Completion]
) -> list[str]:
    """What a reward model reads of each prompt and its completion.

    Args:
        tokenizer: the reward model's.
        prompts: N strings or message lists.
        completions: N strings or message lists.

    Returns:
        N texts: through the tokenizer's chat template, or where it has none a line `ROLE: content` per message; the
        prompt with the completion behind where the prompt is a string.

    Raises:
        InvalidInputError: the two have different lengths.
        InvalidTypeError: a prompt or a completion has the wrong type.
    """
    contents = completion_texts(completions)
    if len(prompts) != len(contents):
        raise InvalidInputError(
            f"`prompts` needs one prompt per completion: expected {len(contents)} (the length of `completions`), "
            f"got {len(prompts)}."
        )
    texts = []
    for row, (prompt, content) in enumerate(zip(prompts, contents, strict=True)):
        if isinstance(prompt, str):
            texts.append(prompt + content)
            continue
        messages = [*_messages(prompt, row), {"role": "assistant", "content": content}]
        if tokenizer.chat_template is not None:
            texts.append(tokenizer.apply_chat_template(messages, tokenize=False))
        else:
            texts.append("\n".join(f"{message['role'].upper()}: {message['content']}" for message in messages))
    return texts


def _messages(prompt: Any, row: int) -> list[dict[str, str]]:
    """A prompt's messages with their texts."""
    if not isinstance(prompt, Sequence) or not all(
        isinstance(message, Mapping)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content"), str)
        for message in prompt
    ):
        raise InvalidTypeError(
            f"`prompts[{row}]` must be a string or a list of messages with the texts `role` and `content`, "
            f"got {type(prompt).__name__}."
        )
    return [{"role": message["role"], "content": message["content"]} for message in prompt]


def loaded_reward_model(model: str, name: str, **options: Any) -> RewardModel:
    """The reward model of these options, loaded at the first call and kept for the next ones.

    Raises:
        ConfigError: another reward of this name was loaded from elsewhere.
    """
    key = (model, tuple(sorted(options.items())))
    if name not in _LOADED:
        _LOADED[name] = (key, RewardModel(model, name=name, **options))
    if _LOADED[name][0] != key:
        raise ConfigError(
            f"The reward {name!r} is loaded already, with other options. One process can hold one of them."
        )
    return _LOADED[name][1]


_LOADED: dict[str, tuple[Any, RewardModel]] = {}
