"""Loading of reward models: the body, the head that gives the score, and the tokenizer that belongs to them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gd2po.errors import ConfigError, MissingDependencyError

_HEAD: Final = "score_head.weight"


class Scorer:
    """A loaded reward model: token ids in, scores out.

    Args:
        model: body with or without head, in evaluation mode.
        tokenizer: of the same checkpoint.
        head: weights (1, hidden) of a `score_head`; None where the model has a head of its own.
    """

    def __init__(self, model: Any, tokenizer: Any, head: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.pad_token_id: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self._head = head

    def to(self, device: str | None) -> None:
        """Move the model; None for the current GPU, or the CPU without one."""
        import torch

        target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        left = self.model.device
        self.model.to(target)
        if self._head is not None:
            self._head = self._head.to(target)
        if left.type == "cuda" and target.type == "cpu":
            torch.cuda.empty_cache()

    def scores(self, encoded: Sequence[list[int]]) -> list[float]:
        """The score of each of B texts, given as token ids; scored together."""
        import torch

        longest = max(len(ids) for ids in encoded)
        ids = torch.tensor([[*row, *[self.pad_token_id] * (longest - len(row))] for row in encoded])
        lengths = torch.tensor([len(row) for row in encoded])
        mask = (torch.arange(longest) < lengths[:, None]).long()
        ids, lengths, mask = (tensor.to(self.model.device) for tensor in (ids, lengths, mask))
        with torch.inference_mode():
            if self._head is None:
                scores = self.model(input_ids=ids, attention_mask=mask).logits[:, 0]
            else:
                hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
                last = hidden[torch.arange(len(encoded), device=hidden.device), lengths - 1]
                scores = last.float() @ self._head[0]
        return [float(score) for score in scores.float().cpu()]


def load_scorer(model: str, *, dtype: str, revision: str | None, trust_remote_code: bool) -> Scorer:
    """The reward model of a folder or hub id, on the CPU.

    Raises:
        MissingDependencyError: transformers is not installed.
        ConfigError: there is no such model, its head is missing, it gives more than one score, or its tokenizer is
            another model's.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError(f"Reward models need {error.name}: pip install 'gd2po[trl]'.") from error
    common: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, **common)
        keys = _checkpoint_files(model, revision)
        loading = {**common, "dtype": dtype, "use_safetensors": True, "output_loading_info": True}
        if _HEAD in keys:
            scorer = _load_score_head(model, tokenizer, keys, loading)
        else:
            scorer = _load_classifier(model, tokenizer, loading)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"Reward model {model}: cannot be loaded: {error} Give the folder or hub id of a reward model with its "
            "tokenizer and weights in safetensors."
        ) from error
    _require_own_tokenizer(model, scorer)
    scorer.model.eval()
    return scorer


def _checkpoint_files(model: str, revision: str | None) -> dict[str, str]:
    """The file of each tensor in the checkpoint."""
    from safetensors import safe_open
    from transformers.utils import cached_file

    options: dict[str, Any] = {"revision": revision, "_raise_exceptions_for_missing_entries": False}
    index = cached_file(model, "model.safetensors.index.json", **options)
    if index is not None:
        weight_map: dict[str, str] = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
        return weight_map
    single = cached_file(model, "model.safetensors", **options)
    if single is None:
        raise ConfigError(
            f"Reward model {model}: there are no weights in safetensors. Load it with transformers once and save it "
            "with save_pretrained, or choose a revision that has them."
        )
    with safe_open(single, framework="pt") as tensors:
        return dict.fromkeys(tensors.keys(), "model.safetensors")


def _load_score_head(model: str, tokenizer: Any, keys: dict[str, str], loading: dict[str, Any]) -> Scorer:
    """The published architecture: a body, and `score_head` on the last token's hidden state."""
    from safetensors import safe_open
    from transformers import AutoModel
    from transformers.utils import cached_file

    with _no_load_report():
        body, info = AutoModel.from_pretrained(model, **loading)
    _require_whole(model, info["missing_keys"], "its body")
    ignored = set(info["unexpected_keys"]) - {_HEAD, "lm_head.weight"}
    if ignored:
        warnings.warn(
            f"Reward model {model}: the checkpoint holds {_listed(ignored)}, which the score does not use.",
            stacklevel=5,
        )
    with safe_open(cached_file(model, keys[_HEAD], revision=loading["revision"]), framework="pt") as tensors:
        head = tensors.get_tensor(_HEAD).float()
    hidden = body.config.get_text_config().hidden_size
    if tuple(head.shape) != (1, hidden):
        raise ConfigError(
            f"Reward model {model}: `{_HEAD}` must have the shape (1, {hidden}), one score from the body's hidden "
            f"state, got {tuple(head.shape)}."
        )
    return Scorer(body, tokenizer, head)


@contextmanager
def _no_load_report() -> Iterator[None]:
    """Keep transformers from calling the head an unexpected weight, which it is only for the body."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _load_classifier(model: str, tokenizer: Any, loading: dict[str, Any]) -> Scorer:
    """What transformers knows as a sequence classifier, with one label."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(
        model, revision=loading["revision"], trust_remote_code=loading["trust_remote_code"]
    )
    if config.num_labels != 1:
        raise ConfigError(
            f"Reward model {model}: needs one label, and its configuration has {config.num_labels}. A reward is one "
            "number; train the classifier with num_labels=1, or write a reward function that makes one of them."
        )
    classifier, info = AutoModelForSequenceClassification.from_pretrained(model, config=config, **loading)
    _require_whole(model, info["missing_keys"], "the head")
    if tokenizer.pad_token_id is None:
        raise ConfigError(
            f"Reward model {model}: its tokenizer has no pad token, so the end of a text cannot be told from padding. "
            "Set `pad_token` in its tokenizer_config.json."
        )
    classifier.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return Scorer(classifier, tokenizer, None)


def _require_whole(model: str, missing: set[str], part: str) -> None:
    """Raise if the checkpoint lacks weights, which would be random."""
    if missing:
        raise ConfigError(
            f"Reward model {model}: {part} is not in the checkpoint ({_listed(missing)} would be random). It must hold "
            f"`{_HEAD}`, or be a sequence classifier that was saved with its head."
        )


def _require_own_tokenizer(model: str, scorer: Scorer) -> None:
    """Raise if the tokenizer knows more tokens than the model."""
    known = scorer.model.get_input_embeddings().num_embeddings
    if len(scorer.tokenizer) > known:
        raise ConfigError(
            f"Reward model {model}: its tokenizer has {len(scorer.tokenizer)} tokens and its body {known}: they do not "
            "belong together. Put the tokenizer that it was trained with beside its weights."
        )


def _listed(names: set[str]) -> str:
    """At most three names, and how many more there are."""
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"
