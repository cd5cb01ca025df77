"""Many runs, kept in a folder: a file per world, a line per setting, learning rate and seeds."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

from gd2po import core
from gd2po.core import Setting
from gd2po.core.setting import labelled
from gd2po.errors import DataFormatError, InvalidInputError
from gd2po.report.documents import plain
from gd2po.runs.files import write_text
from gd2po.worlds import batches, declaration, draws, error_models, policies, simulation, tables
from gd2po.worlds.declaration import World
from gd2po.worlds.simulation import WorldRun, simulate
from gd2po.worlds.tables import Tables

_DECIDING = (core, batches, declaration, draws, error_models, policies, simulation, tables)
"""The code that decides what a run computes. A run is found again only as long as none of it has changed."""

SettingOf = Setting | Callable[[World], Setting]
"""A setting, or one made for a world: for options that depend on its rewards."""


def run_all(
    worlds: Iterable[World],
    settings: Sequence[Setting] | Mapping[str, SettingOf],
    seeds: Sequence[int],
    learning_rates: Sequence[float] | None = None,
    folder: str | Path | None = None,
    progress: Callable[[WorldRun], object] | None = None,
) -> list[WorldRun]:
    """Every setting in every world at every learning rate.

    Args:
        worlds: of different names.
        settings: known by their labels, or by names of your own; a name may lead to a function that makes the setting
            for a world.
        seeds: the same for all.
        learning_rates: the grid; None: each world's own.
        folder: where runs are kept, and taken from if they are there already; None keeps nothing. Runs count as there
            if world, setting, learning rate, seeds and the code of methods and simulation are the same.
        progress: called with every run as it is there.

    Returns:
        The runs by world, setting and learning rate, in the order given.

    Raises:
        InvalidInputError: two worlds or settings of one name, or none; no learning rate; what `simulate` refuses.
        DataFormatError: a file in the folder does not hold runs.
    """
    worlds, named = list(worlds), labelled(settings)
    names = [world.name for world in worlds]
    if not names or len(set(names)) < len(names):
        raise InvalidInputError(f"`worlds` needs one or more of different names: got {', '.join(names) or 'none'}.")
    if learning_rates is not None and not learning_rates:
        raise InvalidInputError("`learning_rates` needs one or more numbers, or None for each world's own: got none.")
    runs: list[WorldRun] = []
    for world in worlds:
        path = None if folder is None else Path(folder) / f"{world.name.replace('/', '_')}.jsonl"
        kept = _RunFile(path)
        truth: Tables | None = None
        for label, setting_of in named.items():
            setting = setting_of if isinstance(setting_of, Setting) else setting_of(world)
            for learning_rate in learning_rates or world.learning_rate_grid:
                key = _key(world, setting, learning_rate, seeds)
                run = kept.get(key)
                if run is None:
                    truth = truth or Tables.of(world, seeds)
                    run = simulate(world, setting, learning_rate, seeds, tables=truth)
                    kept.add(key, run)
                runs.append(dataclasses.replace(run, world=world.name, label=label))
                if progress is not None:
                    progress(runs[-1])
    return runs


def _key(world: World, setting: Setting, learning_rate: float, seeds: Sequence[int]) -> str:
    """What tells one run from another, shortened; the names of world and setting are not part of it."""
    what = [
        [_digest(module) for module in _DECIDING],
        _source(setting),
        repr(dataclasses.replace(world, title="", name="world", learning_rates=())),
        setting.method.name,
        sorted((name, repr(value)) for name, value in setting.resolved.items()),
        float(learning_rate),
        list(seeds),
    ]
    return hashlib.blake2b(repr(what).encode(), digest_size=16).hexdigest()


@cache
def _digest(module: ModuleType) -> str:
    """Of the source of a module, or of all modules of a package."""
    place = Path(str(module.__file__))
    files = sorted(place.parent.rglob("*.py")) if place.name == "__init__.py" else [place]
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files), digest_size=16).hexdigest()


def _source(setting: Setting) -> str:
    """The source of a method's function, which may be a user's own; empty where there is none to read."""
    try:
        return inspect.getsource(setting.method.function)
    except (OSError, TypeError):
        return ""


class _RunFile:
    """The runs of one world by key, a line each."""

    def __init__(self, path: Path | None) -> None:
        """The file of a path, which need not be there; None: keeps nothing.

        Raises:
            DataFormatError: a line is not of such a file.
        """
        self._path = path
        self._lines: dict[str, str] = {}
        if path is None or not path.is_file():
            return
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                self._lines[json.loads(line)["key"]] = line
            except (ValueError, KeyError, TypeError) as error:
                raise DataFormatError(
                    f"{path}, line {number} is not a run of a world: {error}. Remove the line, or use another folder."
                ) from error

    def get(self, key: str) -> WorldRun | None:
        if key not in self._lines:
            return None
        values = json.loads(self._lines[key])
        try:
            return WorldRun(**{name: value for name, value in values.items() if name != "key"})
        except TypeError as error:
            raise DataFormatError(
                f"{self._path} holds a run that cannot be read: {error}. Remove the file, or use another folder."
            ) from error

    def add(self, key: str, run: WorldRun) -> None:
        if self._path is not None:
            content = plain({"key": key, **dataclasses.asdict(run)})
            self._lines[key] = json.dumps(content, allow_nan=False, ensure_ascii=False)
            write_text(self._path, "".join(f"{line}\n" for line in self._lines.values()))
