"""What an audit of the pinned versions says, and that silence is not taken for safety."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import audit

ROOT = Path(__file__).parents[2]

SAFE = {"name": "torch", "version": "2.13.0", "vulns": []}
UNKNOWN = {"name": "verl", "version": "0.9.1", "skip_reason": "Dependency not found on PyPI"}
VULNERABLE = {
    "name": "jinja2",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1", "3.0"]}],
}


def test_vulnerabilities_are_named_with_the_versions_that_mend_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.report([SAFE, VULNERABLE], "") == 1
    out = capsys.readouterr().out
    assert "jinja2 2.0: PYSEC-1 CVE-1; mended in 2.1, 3.0" in out
    assert "1 of 2 packages" in out


def test_an_audit_without_findings_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.report([SAFE], "") == 0
    assert "0 of 1 packages" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("packages", "complaint"), [([UNKNOWN], ""), ([], "Traceback ...\nConnectionError: no route to api.osv.dev")]
)
def test_data_out_of_reach_is_said_and_does_not_pass(
    packages: list[dict[str, str]], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.report(packages, complaint) == 2
    out = capsys.readouterr().out
    assert out.startswith("Nothing was audited: the vulnerability data could not be reached.")
    assert complaint.splitlines()[-1:] == [] or complaint.splitlines()[-1] in out


def test_packages_that_could_not_be_looked_up_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.report([SAFE, UNKNOWN], "") == 2
    assert "Not audited, since PyPI does not know them: verl" in capsys.readouterr().out


def test_a_missing_pip_audit_does_not_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pip_audit.py").write_text("raise SystemExit('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    packages, complaint = audit.look_up(audit.CONSTRAINTS, [])
    assert audit.report(packages, complaint) == 2


def test_every_constraint_is_one_exact_version() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    for pin in pins:
        assert re.fullmatch(r'[\w.-]+==[\w.]+(; python_version (>=|<) "3\.11")?', pin)
