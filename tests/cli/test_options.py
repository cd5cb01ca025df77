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
from gd2po.cli.options import needing, resumable
from gd2po.errors import GD2POError, MissingDependencyError

SOURCE = Path(gd2po.__file__).parent
COMMANDS = (
    "diagnose", "replay", "compare", "check-rewards", "evaluate api-bank", "evaluate toolcalls", "evaluate safety"
)  # fmt: skip


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


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("--data there --limit 5", "--dataset_name there --eval_prompts 5", "--data is now --dataset_name. --limit is"),
        ("--data=there --max-new-tokens 9", "--dataset_name there --max_completion_length 9", "--data is now"),
        ("--data there --backend vllm", "--dataset_name there --use_vllm", "--backend vllm is now --use_vllm"),
    ],
)
def test_old_names_of_evaluate_mean_what_the_new_ones_do(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, note: str
) -> None:
    asked: list[Any] = []

    def ask(*arguments: Any, console: Any, **options: Any) -> None:
        asked.append((arguments, options))
        raise GD2POError

    monkeypatch.setattr("gd2po.evaluation.run.api_bank.evaluate_api_bank", ask)
    was, now = (
        CliRunner().invoke(app, ["evaluate", "api-bank", *words.split(), "--model_name_or_path", "m"])
        for words in (old, new)
    )
    assert asked[0] == asked[1]
    assert note in was.stderr.replace("\nNote:", "")
    assert (was.stdout, now.stderr) == ("", "")


def test_the_words_of_a_thought_are_an_option_of_their_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        "gd2po.evaluation.run.toolcalls.evaluate_toolcalls",
        lambda *arguments, **options: asked.append(options) or 1 / 0,
    )
    line = ["evaluate", "toolcalls", "--reward_kwargs", "think_length.low=0.5", "--target_words", "20"]
    result = CliRunner().invoke(app, line)
    assert asked[0]["reward_kwargs"] == ["think_length.low=0.5", "think_length.target_words=20"]
    assert result.stderr == "Note: --target_words is now --reward_kwargs think_length.target_words=20.\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], False), (["--skip_bad_rows"], True), (["--skip_bad_rows", "true"], True), (["--skip-bad-rows=True"], True),
        (["--skip_bad_rows", "false"], False), (["--skip_bad_rows=false"], False),
    ],
)  # fmt: skip
def test_a_switch_may_have_a_value_as_in_train(monkeypatch: pytest.MonkeyPatch, words: list[str], told: bool) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("gd2po.diagnosis.RewardLog", lambda path, *_, **options: asked.append((path, options)) or 1 / 0)
    for line in (["log.csv", *words], [*words, "log.csv"]):
        assert isinstance(CliRunner().invoke(app, ["diagnose", *line]).exception, ZeroDivisionError)
    assert [(path, options["skip_bad_rows"]) for path, options in asked] == [("log.csv", told)] * 2


def test_check_rewards_takes_its_functions_as_train_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        "gd2po.training.check_rewards.check_rewards_command", lambda options, console: asked.append(options) or 0
    )
    kwargs = ["--reward_kwargs", "f.x=1", "g.y=2"]
    for line in (
        ["my.f", "my.g", *kwargs], [*kwargs, "my.f", "my.g"], ["--reward_funcs", "my.f", "my.g", *kwargs],
        [*kwargs, "--reward-funcs", "my.f", "my.g"], ["--reward_funcs=my.f", "my.g", *kwargs],
    ):  # fmt: skip
        assert CliRunner().invoke(app, ["check-rewards", *line], catch_exceptions=False).exit_code == 0
    assert {(*options.reward_funcs, *options.reward_kwargs) for options in asked} == {
        ("my.f", "my.g", "f.x=1", "g.y=2")
    }


def test_what_stands_after_two_hyphens_is_taken_as_it_is(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["diagnose", "--json", "-", "--", "--weights"])
    assert result.stderr == ""
    assert "--weights" in str(result.exception)


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
    "logs/dialects/swift.py": "ms-swift's own flags",
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
