"""How options are spelled: one way in `--help`, the old ways still understood, and no flag in a message elsewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import gd2po
from gd2po.cli import app
from gd2po.cli.command import OLD_NAMES
from gd2po.cli.options import needing, resumable
from gd2po.errors import MissingDependencyError

SOURCE = Path(gd2po.__file__).parent
COMMANDS = ("diagnose", "compare", "evaluate api-bank", "evaluate toolcalls", "evaluate safety")


def command(words: str) -> Any:
    found: Any = get_command(app)
    for word in words.split():
        found = found.commands[word]
    return found


def options(words: str) -> set[str]:
    return {spelling for parameter in command(words).params for spelling in parameter.opts if spelling.startswith("-")}


@pytest.mark.parametrize("words", COMMANDS)
def test_options_are_documented_with_underscores_under_the_names_of_their_arguments(words: str) -> None:
    assert len(options(words)) > 8
    for spelling in options(words):
        name = spelling.removeprefix("--")
        assert re.fullmatch(r"[a-z]\w*", name), spelling
        assert name in {parameter.name for parameter in command(words).params}


def test_the_same_thing_has_the_same_name_in_all_commands() -> None:
    for words in COMMANDS[1:]:
        assert "--output_dir" in options(words)
    for words in COMMANDS[2:]:
        assert {"--model_name_or_path", "--model_revision", "--max_completion_length", "--dtype"} <= options(words)
    assert "--eval_prompts" in options("compare") & options("evaluate toolcalls")
    assert "--reward_weights" in options("diagnose")


def test_every_old_name_stands_for_an_option_and_is_none() -> None:
    known = set().union(*map(options, COMMANDS))
    for old, new in OLD_NAMES.items():
        assert f"--{new}" in known
        assert f"--{old}" not in known


def test_hyphens_and_old_names_are_understood_and_shown_nowhere(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("x,y\n1,0\n0,1\noops,1\n0,0\n1,1\n")
    arguments = ["diagnose", str(log), "--json", "-", "--group-size", "2", "--skip-bad-rows", "--weights", "1,0.5"]
    old = CliRunner().invoke(app, arguments, catch_exceptions=False)
    arguments[4:] = ["--group_size", "2", "--skip_bad_rows", "--reward_weights", "1", "0.5"]
    new = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert '"weight": 0.5' in new.stdout
    assert old.stdout == new.stdout
    assert (old.stderr, new.stderr) == ("Note: --weights is now --reward_weights.\n", "")
    shown = CliRunner().invoke(app, ["diagnose", "--help"], terminal_width=200).output
    assert "--group_size" in shown
    assert "--group-size" not in shown
    assert "--weights" not in shown


def test_old_names_reach_compare_and_its_fields_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("gd2po.training.compare.compare_command", lambda *arguments: asked.append(arguments) or 0)
    line = ["compare", "--out", "there", "--eval-prompts", "7", "--learning-rate", "1e-3", "--model", "m"]
    assert CliRunner().invoke(app, line, catch_exceptions=False).exit_code == 0
    ((chosen, fields),) = asked
    assert (chosen.output_dir, chosen.eval_prompts) == ("there", 7)
    assert fields == ["--learning-rate", "1e-3", "--model", "m"]


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    result = CliRunner().invoke(app, ["diagnose", "log.csv", "--group_sise", "4"])
    assert result.exit_code == 2
    assert "--group_size" in result.output


def test_a_missing_package_is_named_with_its_extra_and_ours_is_a_bug() -> None:
    message = r"`gd2po train` needs not_there: pip install 'gd2po\[trl\]'"
    with pytest.raises(MissingDependencyError, match=message), needing("train", "trl"):
        import not_there  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="gd2po.not_there"), needing("train", "trl"):
        import gd2po.not_there  # noqa: F401


def test_an_interrupt_before_anything_is_saved_ends_like_a_later_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BaseException, match="130"), resumable():
        raise KeyboardInterrupt
    assert capsys.readouterr().out == "Stopped. The same command resumes from there.\n"


@pytest.mark.parametrize("path", sorted((SOURCE / "cli").rglob("*.py")), ids=lambda path: path.name)
def test_a_file_of_the_command_line_is_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 120


COMMAND_LINES = {
    "training/arguments.py": "the parser of a command line",
    "training/help.py": "the help of a command line",
    "training/compare.py": "command lines of the runs",
    "comparison/run/runner.py": "command lines of the runs",
    "training/summary.py": "commands to paste",
    "training/train.py": "commands to paste",
    "training/warm_start.py": "commands to paste",
    "report/commands.py": "commands to paste",
    "integrations/doctor.py": "commands to paste, of pip",
    "integrations/slime.py": "slime's own flags",
}
"""Files outside `cli` whose texts hold flags, and why."""


def texts(tree: ast.Module) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value


def test_no_message_outside_the_command_line_names_a_flag() -> None:
    naming = set()
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(re.search(r"(?<![\w-])--[a-z]", text) for text in texts(tree)):
            naming.add(path.relative_to(SOURCE).as_posix())
    naming = {name for name in naming if not name.startswith("cli/")}
    assert naming - COMMAND_LINES.keys() == set()
    assert COMMAND_LINES.keys() - naming == set()  # the list names no file that does without
