"""The command line as a user types it, in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest


def gd2po(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from gd2po.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_answers_at_once_and_lists_the_commands() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = gd2po("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time: how long it takes on the clock depends on what else the machine does.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert result.returncode == 0
    assert "train" in result.stdout
    assert "recipes" in result.stdout
    assert seconds < 1


def test_help_loads_nothing_heavy() -> None:
    script = """
import sys
from gd2po.cli import main
sys.argv = ["gd2po", "--help"]
try:
    main()
except SystemExit:
    pass
heavy = {"torch", "transformers", "trl", "pandas", "pyarrow", "datasets", "plotly", "packaging"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


def test_importing_the_package_loads_neither_torch_nor_the_training_stack() -> None:
    script = "import sys, gd2po; sys.exit(bool({'torch', 'transformers', 'trl', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_the_core_loads_torch_and_no_training_stack() -> None:
    script = (
        "import sys; from gd2po import gd2po_advantages; "
        "sys.exit(bool({'transformers', 'trl', 'verl', 'ray', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_version_is_printed() -> None:
    import gd2po as package

    assert gd2po("--version").stdout.strip() == f"gd2po {package.__version__}"


def test_recipes_are_listed_and_printed() -> None:
    listed = [line.split()[0] for line in gd2po("recipes").stdout.splitlines()]
    assert {"quickstart", "noisy-graders", "trade-off"} <= set(listed)
    assert "model_name_or_path: builtin:toolcalls" in gd2po("recipes", "quickstart").stdout


def test_a_mistake_becomes_one_message_and_no_traceback() -> None:
    result = gd2po("recipes", "quikstart")
    assert result.returncode == 2
    assert "Did you mean 'quickstart'?" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_bare_install_says_what_to_install(command: str) -> None:
    script = "import sys; sys.modules.update(transformers=None, trl=None); from gd2po.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", script, *command.split()], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 2
    assert "pip install 'gd2po[trl" in result.stderr
    assert result.stderr.count("\n") == 1
