"""What a push to the hub leaves out: prompts and completions, which may be private."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from gd2po.errors import MissingDependencyError
from gd2po.logs.dialects import log_folders
from gd2po.runs.folder import REPORT_HTML, REPORT_JSON

try:
    from transformers import trainer as transformers_trainer
except ImportError as error:
    raise MissingDependencyError(f"A push to the hub needs TRL: pip install 'gd2po[trl]' ({error}).") from error

ROLLOUTS: Final = (*(f"{log}{rest}" for log in log_folders() for rest in ("", "/*")), REPORT_HTML, REPORT_JSON)
"""Patterns of the files of an output folder that hold prompts and completions; the report shows some of them."""


class _Leaving:
    """The hub's client, whose folders are uploaded without some files."""

    def __init__(self, client: Any, patterns: Sequence[str]) -> None:
        self._client, self._patterns = client, patterns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def upload_folder(self, *, ignore_patterns: Sequence[str] | None = None, **options: Any) -> Any:
        return self._client.upload_folder(ignore_patterns=[*(ignore_patterns or ()), *self._patterns], **options)


@contextmanager
def leaving_out(patterns: Sequence[str]) -> Iterator[None]:
    """Folders that transformers' trainer uploads meanwhile leave out some files; it takes no patterns itself."""
    client = transformers_trainer.hf_api
    transformers_trainer.hf_api = lambda: _Leaving(client(), patterns)
    try:
        yield
    finally:
        transformers_trainer.hf_api = client
