"""Known vulnerabilities of the versions in constraints.txt, asked of PyPI by pip-audit.

    python scripts/audit.py

Exit status 0: none is known. 1: there are some, each with the versions that mend it. 2: not every package could be
looked up, so that nothing is known about those; without the internet that is all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
WANTED = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")


def look_up(constraints: Path, options: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit says of each pinned package of this Python version, and what it complained about."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "audit.json")
        command = [sys.executable, "-m", "pip_audit", *WANTED, "--requirement", str(constraints), "--output", str(out)]
        run = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if not out.exists():
            return [], run.stderr
        return json.loads(out.read_text(encoding="utf-8"))["dependencies"], run.stderr


def report(packages: list[dict[str, Any]], complaint: str) -> int:
    """Print what was found; the exit status."""
    vulnerable = [package for package in packages if package.get("vulns")]
    unknown = [package for package in packages if "skip_reason" in package]
    for package in vulnerable:
        for vulnerability in package["vulns"]:
            mended = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            names = " ".join([vulnerability["id"], *vulnerability["aliases"]])
            _say(f"{package['name']} {package['version']}: {names}; mended in {mended}")
    if not packages or len(unknown) == len(packages):
        reason = (
            unknown[0]["skip_reason"] if unknown else (complaint.strip().splitlines() or ["pip-audit said nothing"])[-1]
        )
        _say(f"Nothing was audited: the vulnerability data could not be reached. {reason}\nRun it with the internet.")
        return 2
    if unknown:
        _say(f"Not audited, since PyPI does not know them: {', '.join(package['name'] for package in unknown)}")
    checked = len(packages) - len(unknown)
    _say(f"{len(vulnerable)} of {checked} packages have known vulnerabilities.")
    return 1 if vulnerable else 2 if unknown else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit the pinned versions; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("options", nargs="*", help="for pip-audit, after --, such as --ignore-vuln ID")
    return report(*look_up(CONSTRAINTS, parser.parse_args(arguments).options))


def _say(text: str) -> None:
    print(text)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
