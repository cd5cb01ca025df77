"""Records on disk as they come, so that an evaluation that was killed can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from gd2po.errors import ConfigError, DataFormatError, OutputWriteError
from gd2po.runs.files import write_text


class OutputLog:
    """A file of JSON lines, one record with a `key` each, that only grows; a context manager.

    Beside it lies a file with the settings that its records depend on. A log takes further records under the
    same settings only.

    Args:
        path: the file, `<name>.jsonl`; its settings are in `<name>.settings.json`. Folders are made.
        settings: what the records depend on, as JSON values.

    Raises:
        ConfigError: there are records already, made under other settings.
        DataFormatError: a line in the middle of the file is not a record, or a key occurs twice.
        OutputWriteError: the folder or the files cannot be written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        """The records by key, in the order in which they were written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._check_settings(dict(settings))
            # Unbuffered: a buffer that could not be written would be tried again at the next call.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> OutputLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write records and wait until they are on the disk.

        Raises:
            OutputWriteError: they cannot be written, for instance because the disk is full. Records written before
                are kept, whole.
        """
        for record in records:
            line = json.dumps(record, ensure_ascii=False).encode("utf-8", errors="surrogatepass")
            end = self._file.tell()
            try:
                self._write(line + b"\n")
            except OSError as error:
                self._file.truncate(end)
                raise self._cannot_write(error) from error
            self.records[str(record["key"])] = dict(record)
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._cannot_write(error) from error

    def _write(self, data: bytes) -> None:
        """Write all bytes; an unbuffered file may take a part of them and fail at the rest."""
        while data:
            data = data[self._file.write(data) :]

    def _check_settings(self, settings: dict[str, Any]) -> None:
        """Write the settings, or compare them with those of the records that are there."""
        path = self.path.with_suffix(".settings.json")
        if not self.path.exists() or not path.exists():
            if self.path.exists() and self.path.stat().st_size:
                raise ConfigError(
                    f"{self.path} has records and no {path.name}: move it away, or choose another folder."
                )
            write_json(path, settings)
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataFormatError(
                f"{path} is not JSON: {error}. Remove it with {self.path.name} to begin anew."
            ) from error
        if found == settings:
            return
        changed = [key for key in {**found, **settings} if found.get(key) != settings.get(key)]
        details = "; ".join(f"`{key}` was {found.get(key)!r}, now {settings.get(key)!r}" for key in changed)
        raise ConfigError(
            f"{self.path} was made under other settings: {details}. Choose another output folder, or remove that one."
        )

    def _read(self) -> None:
        """Take the records that are there; a last line that was cut off is dropped."""
        data = self.path.read_bytes()
        whole = data.rpartition(b"\n")[0] + b"\n" if b"\n" in data else b""
        for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
            try:
                record = json.loads(line.decode("utf-8", errors="surrogatepass"))
                key = record["key"]
            except (ValueError, TypeError, KeyError) as error:
                raise DataFormatError(
                    f"{self.path} line {number} is not a record with a `key`: {error!r}. Remove the line, or the file."
                ) from error
            if key in self.records:
                raise DataFormatError(f"{self.path} line {number}: {key!r} appears twice. Remove one of the lines.")
            self.records[key] = record
        if len(whole) < len(data):
            self._file.truncate(len(whole))

    def _cannot_write(self, error: OSError) -> OutputWriteError:
        return OutputWriteError(
            f"Cannot write {self.path}: {error.strerror or error}. {len(self.records)} records are safe in it. Free "
            "some space and run the same command again: it resumes from there."
        )


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
