"""The checks: real packages where they are installed, real metadata of broken ones in front of them where not."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

import gd2po
from gd2po.integrations.doctor import CHECKS, Check, Finding, examine, examine_plug_in, run_checks, supported_range

PYPROJECT = (Path(__file__).parent.parent.parent / "pyproject.toml").read_text()


PLUG_IN = "[verl.plugins]\ngd2po = gd2po.integrations.verl.plugin\n"


def install(
    folder: Path, name: str, version: str, code: str | None = "", requires: Sequence[str] = (), points: str = ""
) -> None:
    """A package as pip leaves it: a module (unless `code` is None) and its metadata."""
    if code is not None:
        (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(points)
    requirements = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{requirements}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes before the installed packages, here and in processes started from here."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return tmp_path


def test_a_package_that_loads_is_shown_with_what_it_says(site: Path) -> None:
    install(site, "sound", "1.2")
    finding = examine(Check("sound", "import sound; print('first'); print('8 of them')", "sound", "tests"))
    assert (finding.version, finding.note, finding.problem) == ("1.2", "8 of them", None)
    assert (finding.state, finding.way_out) == ("ok", "")


def test_a_package_that_does_not_load_is_a_problem_with_its_cause(site: Path) -> None:
    install(site, "rotten", "1.2", "import not_there")
    finding = examine(Check("rotten", "import rotten", "gd2po[trl]", "tests"))
    assert finding.problem is not None
    assert "does not load: ModuleNotFoundError: No module named 'not_there'." in finding.problem
    assert (finding.state, finding.way_out) == ("problem", "Repair the installation: pip install 'gd2po[trl]'")


def test_a_process_that_dies_without_a_word_is_a_problem(site: Path) -> None:
    install(site, "silent", "1.2", "import os; os._exit(3)")
    assert "ended with status 3" in str(examine(Check("silent", "import silent", "silent", "tests")).problem)


def test_a_package_that_hangs_is_a_problem(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gd2po.integrations.doctor.LOAD_SECONDS", 0.5)
    install(site, "slow", "1.2", "import time; time.sleep(60)")
    assert "did not load within 0.5 s" in str(examine(Check("slow", "import slow", "slow", "tests")).problem)


def test_a_package_out_of_range_is_a_problem_that_names_the_range(site: Path) -> None:
    install(site, "trl", "99.0")
    finding = examine(next(check for check in CHECKS if check.package == "trl"))
    assert finding.version == "99.0"
    assert str(supported_range("trl")) in str(finding.problem)
    assert re.search(r"pip install 'trl[^']*<1\.17", finding.way_out)


def test_a_package_of_another_engines_version_is_no_problem(site: Path) -> None:
    install(site, "trl", "1.9.0")
    check = next(check for check in CHECKS if check.package == "trl")
    assert examine(check).state == "problem"
    install(site, "axolotl", "0.19.0")
    finding = examine(check)
    assert (finding.state, finding.version) == ("ok", "1.9.0")
    assert finding.note == f"is what axolotl needs; GD2POTrainer needs {supported_range('trl')}"


@pytest.mark.parametrize("package", ["axolotl", "ms-swift", "openrlhf", "skyrl"])
def test_an_engine_is_in_range_or_a_problem_that_names_the_range(site: Path, package: str) -> None:
    (stated,) = re.findall(rf'^{package} = \["{package}([^"]+)"', PYPROJECT, re.MULTILINE)
    install(site, "gd2po", "0.0", code=None, requires=[f"{package}{stated}; extra == '{package}'"])
    install(site, package.replace("-", "_"), "99.0", code=None)
    finding = examine(next(check for check in CHECKS if check.package == package))
    assert set(finding.way_out.removeprefix(f"pip install '{package}").removesuffix("'").split(",")) == set(
        stated.split(",")
    )


def test_a_missing_package_is_no_problem_unless_another_needs_it(site: Path) -> None:
    alone = Check("not-there", "", "gd2po[verl]", "verl", needed_by="host")
    found = examine(alone)
    assert (found.state, found.note, found.way_out) == ("missing", "for verl", "pip install 'gd2po[verl]'")
    install(site, "host", "1.0")
    found = examine(alone)
    assert (found.state, found.problem) == ("problem", "not installed, and host needs it.")
    assert found.way_out == "pip install 'gd2po[verl]'"


def test_the_ranges_are_those_of_the_packages_metadata() -> None:
    for package in ("trl", "torch"):
        (stated,) = set(re.findall(rf'"{package}([<>=][^"]+)"', PYPROJECT))
        assert set(str(supported_range(package)).split(",")) == set(stated.split(","))
    assert str(supported_range("vllm")) == ""


def test_verl_narrows_a_range_where_it_is_installed(site: Path) -> None:
    extras = ["one>=2", "one<9; extra == 'trl'", "one<5; extra == 'absent'", "absent<7; extra == 'absent'"]
    install(site, "host", "1.0", requires=extras)
    assert set(str(supported_range("one", by="host")).split(",")) == {">=2", "<9"}
    assert str(supported_range("absent", by="host")) == "<7"
    install(site, "absent", "1.0")
    assert set(str(supported_range("one", by="host")).split(",")) == {">=2", "<9", "<5"}


def test_the_hosts_wishes_are_shown(site: Path) -> None:
    assert examine(Check("not-there", "", "x", "tests", hosts=("gd2po", "host"))).note == "for tests"
    install(site, "host", "1.0", requires=["torch>=2.9"])
    note = examine(Check("torch", "print('one')", "x", "tests", hosts=("gd2po", "host"))).note
    assert note == f"one (gd2po asks for {supported_range('torch')}) (host asks for >=2.9)"


def test_a_plug_in_that_is_not_registered_is_a_problem(site: Path) -> None:
    install(site, "gd2po", "0.0", code=None)
    assert "not registered: the installed metadata of gd2po has no entry point" in str(examine_plug_in().problem)


def test_a_plug_in_that_two_packages_register_is_a_problem(site: Path) -> None:
    install(site, "gd2po", "0.0", code=None, points=PLUG_IN)
    install(site, "fork", "0.0", points=PLUG_IN)
    assert "registered 2 times, by " in str(examine_plug_in().problem)


def test_a_plug_in_that_is_switched_off_is_a_problem(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "gd2po", "0.0", code=None, points=PLUG_IN)
    monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", "other, another")
    assert "switched off by VERL_USE_EXTERNAL_PLUGINS=other, another" in str(examine_plug_in().problem)


@pytest.mark.skipif(find_spec("verl") is not None, reason="verl is installed here, and the plug-in loads")
def test_a_plug_in_that_does_not_load_is_a_problem_with_its_cause(site: Path) -> None:
    install(site, "gd2po", gd2po.__version__, code=None, points=PLUG_IN)
    finding = examine_plug_in()
    problem = str(finding.problem)
    assert finding.way_out == "pip install 'gd2po[verl]'"
    assert "does not load: gd2po.errors.MissingDependencyError: The verl plug-in needs verl" in problem
    assert "verl would start without it" in problem


@pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed here; `make test-verl` runs this test")
def test_the_plug_in_is_found_and_loads() -> None:
    finding = examine_plug_in()
    assert finding.problem is None
    assert finding.note == "algorithm.adv_estimator=gd2po is gd2po_estimator"


def test_each_finding_comes_when_its_check_ends_and_the_plug_in_behind_verl(monkeypatch: pytest.MonkeyPatch) -> None:
    examined: list[str] = []

    def found(check: Check) -> Finding:
        examined.append(check.package)
        return Finding(check.package, "1.0")

    monkeypatch.setattr("gd2po.integrations.doctor.examine", found)
    monkeypatch.setattr("gd2po.integrations.doctor.examine_plug_in", lambda: Finding("verl plug-in", "registered"))
    findings = run_checks()
    assert next(findings).package == "torch"
    assert examined == ["torch"]
    names = [finding.package for finding in findings]
    assert names[names.index("verl") + 1] == "verl plug-in"
    assert len(names) == len(CHECKS)
    monkeypatch.setattr("gd2po.integrations.doctor.examine", lambda check: Finding(check.package, None))
    assert [finding.package for finding in run_checks()] == [check.package for check in CHECKS]
