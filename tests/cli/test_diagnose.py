"""`gd2po diagnose` as a user types it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from gd2po.cli import app
from gd2po.errors import ConfigError, DataFormatError, InvalidInputError

COLOUR = re.compile(r"\x1b\[(\d+;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;\d+)*m")
"""An escape sequence that sets a colour."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    effort = random.normal(size=160)
    columns = {
        "step": np.repeat([1, 2], 80),
        "group": np.tile(np.repeat(np.arange(20), 4), 2),
        "correct": effort + random.normal(size=160),
        "brief": -effort + random.normal(size=160),
        "prompt": ["What?"] * 160,
        "completion": ["This."] * 160,
    }
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["diagnose", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_path_alone_gives_the_verdict_and_writes_nothing(log: Path) -> None:
    result = run(log)
    assert "A trade-off: correct and brief." in result.output
    assert "--html report.html" in result.output
    assert [path.name for path in log.parent.iterdir()] == ["log.parquet"]


def test_the_page_and_the_numbers_go_where_they_are_told(log: Path) -> None:
    html, numbers = log.parent / "out" / "page.html", log.parent / "out" / "numbers.json"
    result = run(log, "--html", html, "--json", numbers)
    assert html.read_text().startswith("<!doctype html>")
    assert json.loads(numbers.read_text())["schema"] == "gd2po.diagnosis"
    assert f"Written: {html}" in result.output.replace("\n", "")


def test_a_dash_prints_the_json_alone(log: Path) -> None:
    document = json.loads(run(log, "--json", "-").stdout)
    assert document["source"]["rollouts"] == 160


def test_options_choose_columns_weights_and_steps(log: Path) -> None:
    options = ["--rewards", "brief,correct", "--reward_weights", "brief=0.5", "--step_range", "2:", "--group_size", "8"]
    document = json.loads(run(log, *options, "--json", "-").stdout)
    assert [reward["name"] for reward in document["rewards"]] == ["brief", "correct"]
    assert [reward["weight"] for reward in document["rewards"]] == [0.5, 1.0]
    assert (document["source"]["first_step"], document["source"]["steps"]) == (2, 1)
    assert document["source"]["group_sizes"] == {"8": 10}


@pytest.mark.parametrize(
    "weights",
    ["1 0.5", "1,0.5", "[1,0.5]", "correct=1 brief=0.5", "brief=0.5,correct=1", "brief=0.5", '{"brief":0.5}'],
)
@pytest.mark.parametrize("first", [True, False], ids=["log first", "log last"])
def test_weights_are_written_in_order_by_name_or_as_json(log: Path, weights: str, first: bool) -> None:
    words = ["--reward_weights", *weights.split(" ")]
    document = json.loads(run("--json", "-", *([log, *words] if first else [*words, log])).stdout)
    assert [reward["weight"] for reward in document["rewards"]] == [1.0, 0.5]


def test_a_log_in_a_folder_named_for_a_setting_may_stand_after_the_weights(log: Path) -> None:
    folder = log.parent / "lr=0.1"
    folder.mkdir()
    log.rename(folder / "log.parquet")
    document = json.loads(run("--json", "-", "--reward_weights", "brief=0.5", folder / "log.parquet").stdout)
    assert [reward["weight"] for reward in document["rewards"]] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["breif=0.5"], "`reward_weights` names a reward 'breif' that does not exist. Did you mean 'brief'?"),
        (["1"], "`reward_weights` needs one weight per reward: expected 2 (correct, brief), got 1"),
        (["1", "brief=0.5"], "`reward_weights` mixes 'brief=0.5', which has a name, with '1', which has none"),
        (["brief=much"], "`reward_weights.brief` must be a number"),
    ],
)
def test_weights_that_make_no_sense_are_named(log: Path, weights: list[str], message: str) -> None:
    with pytest.raises((ConfigError, InvalidInputError), match=re.escape(message)):
        run(log, "--reward_weights", *weights)


@pytest.mark.parametrize(
    ("environment", "colours", "escapes"),
    [({}, False, False), ({"FORCE_COLOR": "1"}, True, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True)],
    ids=["pipe", "FORCE_COLOR", "NO_COLOR"],
)
def test_colours_are_for_terminals_and_for_nobody_who_wants_none(
    log: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], colours: bool, escapes: bool
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    result = run(log)
    shown = result.stdout + result.stderr
    assert ("\x1b[" in shown, COLOUR.search(shown) is not None) == (escapes, colours)


def test_families_by_name_add_the_methods_that_use_them(log: Path) -> None:
    def methods(*options: str) -> dict[str, Any]:
        rows = json.loads(run(log, *options, "--json", "-").stdout)["methods"]
        return {row["name"]: row for row in rows}

    plain, told = methods(), methods("--reward_families", "correct=x,brief=x")
    assert "gd2po-families" not in plain
    assert told["gd2po-families"]["filtered_rate"] == told["gd2po-hard"]["filtered_rate"] > 0.4
    assert plain["consensus"]["filtered_rate"] == 0
    with pytest.raises(ConfigError, match="`reward_families` names a reward 'corect'"):
        run(log, "--reward_families", "corect=x")


def test_a_run_folder_gets_its_report_rebuilt(log: Path, tmp_path: Path) -> None:
    table = pq.read_table(log).rename_columns(
        ["step", "group", "reward/correct", "reward/brief", "prompt", "completion"]
    )
    folder = tmp_path / "run"
    (folder / "rollouts").mkdir(parents=True)
    pq.write_table(table, folder / "rollouts" / "step_000001.parquet")
    (folder / "config.yaml").write_text("advantage_estimator: gdpo\n")
    (folder / "report.html").write_text("old")
    result = run(folder)
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert json.loads((folder / "report.json").read_text())["source"]["run"]["label"] == "gdpo"
    assert "gdpo (this run)" in result.output


def test_watching_needs_a_page_and_no_pipe(log: Path) -> None:
    with pytest.raises(ConfigError, match="--watch needs a page to write: add --html"):
        run(log, "--watch")
    with pytest.raises(ConfigError, match="give --json a file"):
        run(log, "--watch", "--html", log.parent / "page.html", "--json", "-")


def test_watching_ends_with_ctrl_c_and_status_0(log: Path) -> None:
    page = log.parent / "page.html"
    words = [sys.executable, "-m", "gd2po", "diagnose", str(log), "--watch", "--html", str(page)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith(f"Open {page} in a browser.")
        assert process.stdout.readline().startswith("step 2 · 160 rollouts · A trade-off: correct and brief.")
        process.send_signal(signal.SIGINT)
        try:
            out, complaints = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, complaints) == (0, f"Stopped. Written: {page}\n", "")
    assert "data-reload" not in page.read_text().split(">")[1]


def test_bad_rows_stop_it_unless_they_are_to_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x,y\na,1,0\na,oops,1\na,0,1\n")
    with pytest.raises(DataFormatError, match="line 3"):
        run(path)
    assert "1 malformed row was skipped" in run(path, "--skip_bad_rows").output


def test_the_module_loads_nothing_heavy() -> None:
    code = (
        "import sys, gd2po.cli.diagnose; "
        "heavy = {'torch', 'numpy', 'pandas', 'pyarrow', 'plotly', 'transformers'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
