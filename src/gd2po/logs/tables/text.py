"""Text files of any origin as valid UTF-8, in bounded memory."""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import Any

import pyarrow as pa

from gd2po.errors import DataFormatError

LONGEST_ROW_BYTES = 16 * 1024 * 1024
"""A row that takes more is refused: a few MB of gzip can hold one of many GB."""

_READ_BYTES = 1024 * 1024
_REPLACEMENT = "\ufffd"


def read_bytes(path: Path, stream: Any, size: int) -> bytes:
    """The next bytes of a stream that decompresses a file.

    Raises:
        DataFormatError: the file is damaged.
    """
    try:
        data: bytes = stream.read(size)
    except OSError as error:
        raise DataFormatError(f"{path} cannot be read to its end: {error}.") from error
    return data


class Utf8Stream(io.RawIOBase):
    """A file, decompressed, with a replacement character for whatever its encoding does not know.

    Args:
        path: the file.
        encoding: name of a Python codec.
    """

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._stream = pa.input_stream(str(path), compression="detect")
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._ready = memoryview(b"")
        self.replaced = False
        """Whether anything was, so far."""

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the file goes; 0 at its end."""
        data = None
        while not self._ready and data != b"":
            data = read_bytes(self._path, self._stream, _READ_BYTES)
            text = self._decoder.decode(data, final=not data)
            self.replaced = self.replaced or _REPLACEMENT in text
            self._ready = memoryview(text.encode())
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        """Close the file below."""
        self._stream.close()
        super().close()


def without_surrogates(text: str) -> str:
    r"""Text that UTF-8 can hold: JSON may spell half of a character, `\ud83d`.

    Example:
        >>> without_surrogates("half \ud83d, whole \ud83d\ude00")
        'half �, whole 😀'
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
