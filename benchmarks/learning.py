"""The headline comparison, small: do the methods learn, and do they differ? For a nightly run.

    python benchmarks/learning.py
    python benchmarks/learning.py --seeds 0-4 --steps 40 --jobs 2

For a trade-off and for noisy graders, `gd2po compare` trains each method with each seed. A method passes if its exact
calls on held-out prompts rise by the points of `--least`; what the methods differ in is printed and not judged, since
a few short runs cannot tell. With `--out` a benchmark that was stopped goes on, and its runs are kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SETTINGS = ("trade-off", "noisy-graders")
METHODS = "gdpo,gd2po-hard,gd2po-snr,gd2po-gated"
SCORE = "exact_calls"
ROLLOUTS = "64"


def compare(setting: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The result of `gd2po compare` on one setting."""
    out = folder / setting
    command = [
        sys.executable, "-m", "gd2po", "compare", "--config", setting, "--methods", options.methods,
        "--seeds", options.seeds, "--jobs", str(options.jobs), "--threads", str(options.threads),
        "--output_dir", str(out), "--eval_prompts", "128", "--eval_every", str(options.steps),
        "--max_steps", str(options.steps), "--per_device_train_batch_size", ROLLOUTS,
    ]  # fmt: skip
    subprocess.run(command, check=True)
    document: dict[str, Any] = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    return document


def gains(document: dict[str, Any]) -> list[dict[str, Any]]:
    """How far each method's score rose, and by how much it differs from the baseline."""
    rows = []
    for method in document["methods"]:
        curve = method["curves"][SCORE]
        start, end = curve[0]["score"]["value"], curve[-1]["score"]["value"]
        rows.append({
            "method": method["name"], "start": start, "end": end, "gain": end - start,
            "difference": method["difference"].get(SCORE), "seconds_per_step": method["seconds_per_step"],
        })  # fmt: skip
    return rows


def described(row: dict[str, Any], least: float) -> str:
    """One method's result in a line."""
    verdict = "reached" if 100 * row["gain"] >= least else "MISSED"
    line = f"{row['method']:12} {100 * row['end']:5.1f} %  {100 * row['gain']:+5.1f}  >= {least:+.1f} {verdict}"
    if row["difference"]:
        line += f"   against the baseline {100 * row['difference']['value']:+.1f}"
    return f"{line}   {row['seconds_per_step']:.2f} s a step"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=METHODS, help="to compare (default: %(default)s)")
    parser.add_argument("--seeds", default="0-1", help="of each method (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=16, help="of each run (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each run (default: %(default)s)")
    parser.add_argument("--least", type=float, default=5.0, help="points to gain (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="folder that keeps the runs (default: none is kept)")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        results = {setting: gains(compare(setting, folder, options)) for setting in SETTINGS}
    for setting, rows in results.items():
        print(f"\n{setting}: {SCORE} on held-out prompts, from {100 * rows[0]['start']:.1f} %")
        for row in rows:
            print(f"  {described(row, options.least)}")
    reached = all(100 * row["gain"] >= options.least for rows in results.values() for row in rows)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
