"""The commands on the experiments' pages are understood, and the files they link to are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gd2po.cli import app
from gd2po.recipes import recipe_path
from gd2po.training.arguments import parse_run, parse_warm_start

DOCS = Path(__file__).parents[2] / "docs"
PAGE_NAMES = ("tool-calling.md", "safe-alignment.md", "experiments.md")
PAGES = {name: (DOCS / name).read_text(encoding="utf-8") for name in PAGE_NAMES}
SHELL = [block for text in PAGES.values() for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)]
COMMANDS = [line for block in SHELL for line in block.splitlines()]


def starting(*words: str) -> list[str]:
    return [command for command in COMMANDS if shlex.split(command)[: len(words)] == list(words)]


@pytest.mark.parametrize("command", [*starting("gd2po", "train"), *starting("gd2po", "warm-start")])
def test_training_commands_are_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(recipe_path("safe-alignment").read_text())
    _, name, *arguments = shlex.split(command)
    parse = {"train": parse_run, "warm-start": parse_warm_start}[name]
    parse([*arguments, "--use_cpu", "--bf16", "false"], "runs/{recipe}")


@pytest.mark.parametrize("command", starting("gd2po", "evaluate"))
def test_evaluation_commands_are_understood(command: str) -> None:
    _, _, name, *arguments = shlex.split(command)
    subcommand = get_command(app).commands["evaluate"].commands[name]  # type: ignore[attr-defined]
    assert subcommand.make_context(name, list(arguments)).params
    with pytest.raises(Exception, match="No such option: --no-such-option"):
        subcommand.make_context(name, [*arguments, "--no-such-option"])


def test_the_script_of_reward_models_has_the_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(DOCS.parent / "scripts")
    import make_reward_models

    with pytest.raises(SystemExit):
        make_reward_models.main(["--help"])
    options = set(re.findall(r"--\w+", capsys.readouterr().out))
    for command in starting("python", "scripts/make_reward_models.py"):
        assert set(re.findall(r" (--\w+)", command)) <= options


def test_every_command_is_one_of_these() -> None:
    assert len(COMMANDS) >= 15
    known = [*starting("gd2po", "train"), *starting("gd2po", "warm-start"), *starting("gd2po", "evaluate")]
    known += starting("python", "scripts/make_reward_models.py")
    assert sorted(known) == sorted(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+\.md)", PAGES[page]):
        assert (DOCS / target).is_file()


def test_the_commands_of_evaluate_have_help() -> None:
    for name in ("api-bank", "toolcalls", "safety"):
        result = CliRunner().invoke(app, ["evaluate", name, "--help"])
        assert result.exit_code == 0
        assert "--model" in result.output
