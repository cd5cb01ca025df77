"""`gd2po diagnose`: from the reward log of any run to a verdict, a page and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gd2po.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from gd2po.diagnosis import Diagnosis, RewardLog


def diagnose(
    path: str = typer.Argument(..., help="A file, a folder (of a run, too) or a quoted glob.", show_default=False),
    html: str | None = typer.Option(None, help="Write the page here.", show_default=False),
    json: str | None = typer.Option(
        None, help="Write the numbers here; - for the standard output.", show_default=False
    ),
    rewards: str | None = typer.Option(None, help="Columns of the rewards: a,b,c.", show_default=False),
    weights: str | None = typer.Option(
        None, help="Weights of the rewards: a=1,b=0.5, or one per reward: 1,0.5.", show_default=False
    ),
    group: str | None = typer.Option(
        None, help="Column that is equal for the rollouts of one prompt.", show_default=False
    ),
    group_size: int | None = typer.Option(
        None, help="Rollouts per prompt, in consecutive rows, where no column tells.", show_default=False
    ),
    step: str | None = typer.Option(None, help="Column of the training step.", show_default=False),
    step_range: str | None = typer.Option(None, help="Steps to look at: 100:200, 100: or :200.", show_default=False),
    prompt: str | None = typer.Option(None, help="Column of the prompt.", show_default=False),
    completion: str | None = typer.Option(None, help="Column of the completion.", show_default=False),
    length: str | None = typer.Option(None, help="Column of the completion's tokens.", show_default=False),
    skip_bad_rows: bool = typer.Option(False, "--skip-bad-rows", help="Count malformed rows instead of stopping."),
) -> None:
    """Show where the rewards of a run conflict, and what each method would do about it.

    Reads what TRL (log_completions), verl (rollout_data_dir) and gd2po write, and plain JSONL, CSV and Parquet. For a
    run folder of gd2po it rebuilds the report inside it.
    """
    try:
        from gd2po.diagnosis import ColumnChoices, RewardLog
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"`gd2po diagnose` needs {error.name}: pip install 'gd2po[report]'.") from error

    choices = ColumnChoices(
        step=step,
        group=group,
        group_size=group_size,
        rewards=None if rewards is None else split_names(rewards),
        prompt=prompt,
        completion=completion,
        length=length,
    )
    log = RewardLog(path, choices, step_range=parse_step_range(step_range), skip_bad_rows=skip_bad_rows)
    _report(log, None if weights is None else parse_weights(weights), html, json)


def _report(log: RewardLog, weights: dict[str, float] | list[float] | None, html: str | None, json: str | None) -> None:
    """Diagnose the log and show the result everywhere it was asked for."""
    from rich.console import Console

    from gd2po.diagnosis import diagnose as analyse
    from gd2po.diagnosis import print_diagnosis, to_json, write_html, write_json
    from gd2po.diagnosis.run_report import HTML_NAME, JSON_NAME

    folder = log.files.run_folder
    if folder is not None and (folder / "config.yaml").is_file():
        html = html or str(folder / HTML_NAME)
        json = json or str(folder / JSON_NAME)
    with Console(stderr=True).status("Reading ...") as status:
        diagnosis = analyse(log, weights, progress=lambda rollouts: status.update(f"Read {rollouts:,} rollouts ..."))
    written = [] if html is None else [write_html(diagnosis, html)]
    if json == "-":
        typer.echo(to_json(diagnosis), nl=False)
        return
    if json is not None:
        written.append(write_json(diagnosis, json))
    console = Console()
    print_diagnosis(diagnosis, console)
    _say_where(diagnosis, written, log.files.source, console)


def _say_where(diagnosis: Diagnosis, written: list[Path], source: str, console: object) -> None:
    from rich.console import Console

    assert isinstance(console, Console)
    for path in written:
        console.print(f"Written: {path}", highlight=False, soft_wrap=True, markup=False)
    if not any(path.suffix in (".html", ".htm") for path in written):
        console.print(
            f"To look at the conflicts: gd2po diagnose {source} --html report.html",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


def split_names(text: str) -> list[str]:
    """The names in a list with commas.

    Raises:
        ConfigError: there is none.

    Example:
        >>> split_names("correctness, format")
        ['correctness', 'format']
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"`--rewards` needs names with commas between them, like a,b: got {text!r}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"`--rewards` names a reward twice: {text!r}.")
    return names


def parse_weights(text: str) -> dict[str, float] | list[float]:
    """Weights by name, or one per reward.

    Raises:
        ConfigError: neither.

    Example:
        >>> parse_weights("correctness=1,format=0.5"), parse_weights("1,0.5")
        ({'correctness': 1.0, 'format': 0.5}, [1.0, 0.5])
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        if parts and all("=" in part for part in parts):
            # A name may hold the sign itself, a number does not.
            pairs = [part.rpartition("=") for part in parts]
            return {name.strip(): float(value) for name, _, value in pairs}
        if parts and not any("=" in part for part in parts):
            return [float(part) for part in parts]
    except ValueError:
        pass
    raise ConfigError(
        f"`--weights` needs name=number for some rewards or a number for each, like a=1,b=0.5 or 1,0.5: got {text!r}."
    )


def parse_step_range(text: str | None) -> tuple[int | None, int | None]:
    """First and last step, both included; None where open.

    Raises:
        ConfigError: no range, or one that ends before it begins.

    Example:
        >>> parse_step_range("100:200"), parse_step_range("100:"), parse_step_range(":200"), parse_step_range("7")
        ((100, 200), (100, None), (None, 200), (7, 7))
    """
    if text is None:
        return None, None
    first, colon, last = text.strip().partition(":")
    try:
        bounds = (int(first) if first else None, int(last) if last else None)
    except ValueError:
        bounds = (None, None)
    low, high = bounds if colon else (bounds[0], bounds[0])
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        raise ConfigError(f"`--step-range` needs first:last, first: or :last, in whole numbers: got {text!r}.")
    return low, high
