"""What the README shows is what happens."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = "".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))
COMMANDS = [line.split("#")[0].strip() for line in SHELL.splitlines()]


@pytest.mark.filterwarnings("default")  # a reader's own code may warn, as check_reward_func does on purpose
@pytest.mark.parametrize("code", PYTHON)
def test_python_blocks_run_and_print_what_they_say(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    for shown in re.findall(r"# .*?(tensor\(.*\))$", code, re.MULTILINE):
        assert shown in printed


def test_there_are_blocks_to_test() -> None:
    assert len(PYTHON) >= 3
    assert sum(command.startswith("gd2po") for command in COMMANDS) >= 4


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make")])
def test_make_targets_exist(command: str) -> None:
    dry_run = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert dry_run.returncode == 0, dry_run.stderr


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("gd2po train")])
def test_train_commands_are_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gd2po.recipes import recipe_path
    from gd2po.training.arguments import parse_run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_run.yaml").write_text(recipe_path("quickstart").read_text())
    parse_run([*shlex.split(command)[2:], "--use_cpu", "--bf16", "false"], "runs/{recipe}")


def test_the_map_names_every_room_and_no_other() -> None:
    tree = re.search(r"```text\n(src/gd2po/.*?)```", README, re.DOTALL)
    assert tree
    named = set(re.findall(r"^  (\w+)/", tree[1], re.MULTILINE))
    assert named == {path.parent.name for path in (ROOT / "src/gd2po").glob("*/__init__.py")}
