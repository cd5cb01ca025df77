"""A report that follows a run: written again whenever its log has grown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn

from gd2po.diagnosis.run_report import RunReport
from gd2po.diagnosis.views.page import write_html
from gd2po.errors import DataFormatError
from gd2po.logs.files import find_files
from gd2po.runs.evaluations import EVALUATIONS
from gd2po.runs.folder import CONFIG, SUMMARY
from gd2po.runs.lock import is_held

PAUSE_S: Final = 2.0
"""Seconds between two looks at the files."""

RELOAD_S: Final = 5
"""Seconds after which the page loads itself again."""

REST: Final = 4
"""How many times as long as a report took nothing is done after it, so that the run keeps its processors."""

PATIENCE: Final = 5
"""Looks after which a file that cannot be read, and does not change either, is no file that is being written."""

Files = tuple[tuple[str, int, int], ...]


class LogWatch:
    """The reports on a log that grows.

    Args:
        source: the log, as `RewardLog` takes it; of a folder, the log may still have to come.
        write: reads the log from its beginning and writes the report; told after how many seconds its page is to load
            itself again, and None for the last one.
        pause_s: seconds between two looks at the files.

    Raises:
        DataFormatError: there is no such file or folder.
    """

    def __init__(
        self, source: str | Path, write: Callable[[int | None], RunReport], *, pause_s: float = PAUSE_S
    ) -> None:
        self._source, self._write, self._pause_s = Path(source), write, pause_s
        if not self._source.is_dir():
            find_files(source)
        self._live: RunReport | None = None
        """The last report, if its page loads itself again."""
        self._interrupted = threading.Event()

    def interrupt(self, *_: object) -> NoReturn:
        """Handle Ctrl-C. An exception that is raised in a destructor is lost; the next look then ends the watch.

        Raises:
            KeyboardInterrupt: always.
        """
        self._interrupted.set()
        raise KeyboardInterrupt

    def reports(self) -> Iterator[RunReport]:
        """A report now, and one after each change of the log; they end with the run, which only a run of gd2po tells.

        Raises:
            DataFormatError: the log cannot be read, and nobody is writing it.
            KeyboardInterrupt: after `interrupt`.
        """
        seen: Files | None = None
        failed, looks = None, 0
        while True:
            over = self._is_over()
            files, rest = self._files(), 0.0
            if files and (files != seen or (over and self._live is not None)):
                began = time.monotonic()
                try:
                    report = self._write(None if over else RELOAD_S)
                except DataFormatError:
                    failed, looks = files, looks + 1 if files == failed else 1
                    if over or looks >= PATIENCE:
                        raise
                else:
                    seen, self._live = files, None if over else report
                    yield report
                rest = REST * (time.monotonic() - began)
            if over:
                return
            if self._interrupted.wait(max(self._pause_s, rest)):
                raise KeyboardInterrupt

    def close(self) -> None:
        """Let the page stop loading itself again."""
        if self._live is not None and self._live.html is not None:
            write_html(self._live.diagnosis, self._live.html)

    def _is_over(self) -> bool:
        """Whether a run of gd2po has written all that it writes."""
        folder = self._source
        return (folder / CONFIG).is_file() and (folder / SUMMARY).is_file() and not is_held(folder)

    def _files(self) -> Files:
        """The files that a report is made from, with their sizes and times; none as long as there is no log."""
        try:
            paths = find_files(self._source).paths
        except DataFormatError:
            return ()
        told = []
        for path in [*paths, self._source / EVALUATIONS, self._source / SUMMARY]:
            try:
                state = path.stat()
            except OSError:  # rolled up since it was listed, or not there
                continue
            told.append((str(path), state.st_size, state.st_mtime_ns))
        return tuple(told)
