"""Progress bars of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def counting(console: Console, doing: str, what: str, *, done: int, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; an interrupt inside it leaves as one that says how many are saved.

    Args:
        console: shows the bar.
        doing: its label, such as "Generating".
        what: is counted, such as "outputs".
        done: saved before.
        total: to be saved in the end.

    Yields:
        Advances the bar by the number it is called with.

    Raises:
        KeyboardInterrupt: Ctrl-C; its text is "8 of 10 outputs are saved".
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(doing, total=total, completed=done)
        try:
            yield lambda count: bar.advance(task, count)
        except KeyboardInterrupt as interrupt:
            saved = int(bar.tasks[0].completed)
            raise KeyboardInterrupt(f"{saved} of {total} {what} are saved") from interrupt
