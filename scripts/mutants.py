"""Do the tests notice when the code is wrong? Change it in small ways, one at a time, and see whether they fail.

    python scripts/mutants.py --targets core --sample 300 --seed 0 --jobs 8 --out mutants.json
    python scripts/mutants.py --only mutants.json  # those that survived, once more

Each mutant meets the tests under its module's name first, with few examples of each property, then all tests of its
target as `make test` runs them, the examples in its docstrings among them. It is killed if one fails, crashes or takes
too long. Every job works in a copy of the repository. Survivors that no test can kill stand with the reason in
`tests/equivalent_mutants.json`. Exit status 1: too many survive.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import difflib
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from mutations import Mutation, mutations

COPIED = (
    "src",
    "tests",
    "docs",
    "scripts",
    "benchmarks",
    "examples",
    "README.md",
    "pyproject.toml",
    "mkdocs.yml",
    "Makefile",
)
EQUIVALENT = Path("tests/equivalent_mutants.json")
SETTINGS = """[pytest]
addopts =
  --import-mode=importlib --doctest-modules --strict-markers -p no:cacheprovider -m "not slow" -x -q --tb=no -rfE
markers = slow: takes minutes
filterwarnings =
  error
  ignore:Module already imported:pytest.PytestAssertRewriteWarning
"""
FAST = ("--hypothesis-profile", "fast")
SHORTEST_LIMIT = 10
SLACK = 5
"""A mutant may take so many times as long as the code without a change."""


@dataclass(frozen=True)
class Target:
    """Code, the tests that answer for it besides its own examples, and the share of mutants they have to kill."""

    sources: Sequence[str]
    tests: Sequence[str]
    floor: float = 0.9
    options: Sequence[str] = ()


# The tests of the methods' registry are about the other rooms and need TRL; the plugins, which hold fixtures of other
# rooms, need pyarrow. Without these, core's tests need torch, pytest, hypothesis and numpy.
CORE_OPTIONS = ("--ignore=tests/core/methods/test_registry.py", "-p", "no:log_fixtures", "-p", "no:browser")
TRL, VERL = "src/gd2po/integrations/trl", "src/gd2po/integrations/verl"
TARGETS = {
    "core": Target(["src/gd2po/core"], ["tests/core"], 1.0, CORE_OPTIONS),
    "statistics": Target(["src/gd2po/core/statistics.py"], ["tests/core"], 1.0, CORE_OPTIONS),
    "methods": Target(["src/gd2po/core/methods"], ["tests/core"], 1.0, CORE_OPTIONS),
    "zero_advantage": Target([f"{TRL}/zero_advantage.py", f"{TRL}/rows.py"], ["tests/integrations/trl"]),
    "trl": Target([TRL], ["tests/integrations/trl", "tests/integrations/test_session.py"]),
    "verl_batches": Target([f"{VERL}/batches.py", f"{VERL}/group_filter.py"], ["tests/integrations/verl"]),
    "numbers": Target(["src/gd2po/diagnosis/numbers"], ["tests/diagnosis"]),
    "verdict": Target(["src/gd2po/diagnosis/verdict"], ["tests/diagnosis"]),
}


@dataclass
class Mutant:
    """A mutation, where it stands, and what became of it."""

    target: str
    path: str
    mutation: Mutation
    original: str
    status: str = "not tried"
    killed_by: str = ""
    seconds: float = 0.0

    def diff(self) -> str:
        lines = (self.original.splitlines(), self.mutation.source.splitlines())
        return "\n".join(list(difflib.unified_diff(*lines, self.path, self.path, lineterm="", n=1)))

    def change(self) -> dict[str, str]:
        """Its lines before and after, by which the file of equivalent mutants knows it."""
        lines = self.diff().splitlines()[3:]
        before = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
        after = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
        return {"path": self.path, "before": before, "after": after}


@dataclass
class Job:
    """A copy of the repository and a process that tries mutants in it."""

    tree: Path
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        path = os.pathsep.join(filter(None, [str(self.tree / "src"), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--worker"],
            cwd=self.tree,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: Sequence[str], limit: float) -> dict[str, Any]:
        """Exit status, seconds and output of pytest; no status if it took longer than `limit` seconds."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([list(arguments), limit]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"a job in {self.tree} has ended; were pytest and torch to be had?")
        return json.loads(answer)


def work() -> None:
    """Run pytest in forks of this process, which has loaded what takes long to load, but nothing of what is mutated."""
    import hypothesis
    import numpy as np
    import pytest
    import torch

    signal.signal(signal.SIGTERM, _leave)
    torch.set_num_threads(1)
    loaded = (hypothesis, np)  # for the forks
    for line in sys.stdin:
        arguments, limit = json.loads(line)
        start = time.monotonic()
        log = Path("pytest.log")
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setsid()
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(output, stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            status = 70
            try:
                status = int(pytest.main(arguments))
            except BaseException:  # noqa: BLE001  # of pytest itself; the process ends here
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = _wait(child, start + limit)
        seconds = time.monotonic() - start
        answer = {"status": status, "seconds": seconds, "output": log.read_text(errors="replace")[-4000:]}
        print(json.dumps(answer), flush=True)  # noqa: T201
    del loaded


def _wait(child: int, deadline: float) -> int | None:
    """The exit status of a process, or None if it had to be killed."""
    try:
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                child = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
    finally:  # also when this process is told to end
        if child:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return None


def _leave(number: int, frame: Any) -> None:
    """End as after an error, so that nothing is left behind."""
    sys.exit(128 + number)


def stages(target: Target, path: str, root: Path) -> Iterator[list[str]]:
    """Arguments of pytest: the tests of the module with few examples, then all tests of the target."""
    room = Path("tests", *Path(path).parts[2:]).parent
    mirrored = room / f"test_{Path(path).name}"
    nearest = mirrored if (root / mirrored).exists() else room if (root / room).is_dir() else None
    if nearest:
        yield [str(nearest), path, *target.options, *FAST]
    yield [*target.tests, *target.sources, *target.options]


def sampled(names: Sequence[str], root: Path, size: int | None, seed: int) -> list[Mutant]:
    """The mutants of some targets, or `size` of each target's, drawn with a seed of their own per target."""
    chosen = []
    for name in names:
        every = []
        for source in TARGETS[name].sources:
            place = root / source
            for file in [place] if place.is_file() else sorted(place.rglob("*.py")):
                text = file.read_text(encoding="utf-8")
                every += [Mutant(name, str(file.relative_to(root)), m, text) for m in mutations(text)]
        draw = random.Random(f"{seed} {name}")
        chosen += every if size is None or size >= len(every) else draw.sample(every, size)
    return chosen


def survivors(results: Path, equivalent: list[dict[str, str]], root: Path) -> list[Mutant]:
    """The mutants that survived an earlier run, as its file says, and are not judged; those still in the code."""
    entries = json.loads(results.read_text(encoding="utf-8"))["mutants"]
    survived = [entry for entry in entries if entry["status"] == "survived"]
    names = dict.fromkeys(entry["target"] for entry in survived)
    judged = {_key(entry) for entry in equivalent}
    wanted = {(entry["target"], *_key(entry)) for entry in survived if _key(entry) not in judged}
    paths = {path for _, path, _, _ in wanted}
    again = [mutant for mutant in sampled(list(names), root, None, 0) if mutant.path in paths]
    return [mutant for mutant in again if (mutant.target, *_key(mutant.change())) in wanted]


def _key(entry: dict[str, str]) -> tuple[str, str, str]:
    return entry["path"], entry["before"], entry["after"]


def copy_of(root: Path, tree: Path) -> Path:
    """The parts of the repository that tests look at, copied; gd2po's metadata beside them if it is not installed."""
    skip = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, tree / name, ignore=skip)
        elif (root / name).exists():
            shutil.copy2(root / name, tree / name)
    (tree / "pytest.ini").write_text(SETTINGS, encoding="utf-8")
    try:
        metadata.version("gd2po")
    except metadata.PackageNotFoundError:
        information = tree / "src/gd2po-0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: gd2po\nVersion: 0\n", encoding="utf-8")
    return tree


def try_mutant(mutant: Mutant, number: int, job: Job, limits: dict[tuple[str, ...], float]) -> None:
    """Put it in place of the file, run its tests, put the file back."""
    file = job.tree / mutant.path
    file.write_text(mutant.mutation.source, encoding="utf-8")
    os.utime(file, (number, number))  # no compiled file of another mutant is taken for this one's
    mutant.status = "survived"
    for arguments in stages(TARGETS[mutant.target], mutant.path, job.tree):
        result = job.run(arguments, limits[tuple(arguments)])
        mutant.seconds += result["seconds"]
        if result["status"] != 0:
            mutant.status = "too slow" if result["status"] is None else "killed"
            failures = [line for line in result["output"].splitlines() if line.startswith(("FAILED", "ERROR"))]
            mutant.killed_by = failures[0].split(" - ")[0].partition(" ")[2] if failures else ""
            break
    file.write_text(mutant.original, encoding="utf-8")
    os.utime(file, (0, 0))


def run(mutants: list[Mutant], root: Path, jobs: int, budget: float, out: Path | None = None) -> None:
    """Try the mutants; those that do not begin within `budget` seconds stay untried."""
    deadline = time.monotonic() + budget
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        free: queue.SimpleQueue[Job] = queue.SimpleQueue()
        everyone = [Job(copy_of(root, Path(folder, str(number)))) for number in range(jobs)]
        for job in everyone:
            free.put(job)

        def unchanged(arguments: tuple[str, ...]) -> float:
            job = free.get()
            result = job.run(arguments, 3600)
            free.put(job)
            if result["status"] != 0:
                raise SystemExit(
                    f"pytest {' '.join(arguments)} ends with {result['status']} without a mutant:\n{result['output']}"
                )
            return SHORTEST_LIMIT + SLACK * float(result["seconds"])

        def attempt(number: int, mutant: Mutant) -> Mutant:
            job = free.get()
            if time.monotonic() < deadline:
                try_mutant(mutant, number, job, limits)
            free.put(job)
            return mutant

        different = {tuple(stage) for m in mutants for stage in stages(TARGETS[m.target], m.path, root)}
        longest_first = sorted(different, key=lambda stage: FAST[0] in stage)
        try:
            limits = dict(zip(longest_first, pool.map(unchanged, longest_first), strict=True))
            _say(f"{len(limits)} selections of tests pass without a mutant")
            work_list = [pool.submit(attempt, number, mutant) for number, mutant in enumerate(mutants, 1)]
            for done, future in enumerate(concurrent.futures.as_completed(work_list), 1):
                mutant = future.result()
                if mutant.status == "survived":
                    _say(f"survived: {mutant.mutation.kind}\n{mutant.diff()}")
                if done % 25 == 0:
                    write(out, mutants, {})
                    _say(f"{done} of {len(mutants)}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for job in everyone:
                with job.process:  # which closes its pipes and waits for it
                    job.process.terminate()


def verdict(
    names: Sequence[str], mutants: list[Mutant], equivalent: list[dict[str, str]]
) -> tuple[dict[str, Any], bool]:
    """Per target how many mutants were killed of those that could be, and whether that is enough everywhere."""
    known = [_key(entry) for entry in equivalent]
    enough = True
    scores = {}
    for name in names:
        tried = [mutant for mutant in mutants if mutant.target == name and mutant.status != "not tried"]
        survived = [mutant for mutant in tried if mutant.status == "survived"]
        judged = [mutant for mutant in survived if _key(mutant.change()) in known]
        killable = len(tried) - len(judged)
        share = (len(tried) - len(survived)) / killable if killable else float(bool(judged))
        enough &= share >= TARGETS[name].floor
        scores[name] = {
            "tried": len(tried),
            "killed": len(tried) - len(survived),
            "equivalent": len(judged),
            "share": share,
            "floor": TARGETS[name].floor,
            "seconds": sum(mutant.seconds for mutant in tried),
        }
    return scores, enough


def write(out: Path | None, mutants: list[Mutant], scores: dict[str, Any]) -> None:
    """What became of each mutant, as JSON."""
    if out is None:
        return
    results = [
        {
            "target": mutant.target,
            "line": mutant.mutation.line,
            "kind": mutant.mutation.kind,
            **mutant.change(),
            "status": mutant.status,
            "killed_by": mutant.killed_by,
            "seconds": round(mutant.seconds, 2),
        }
        for mutant in mutants
    ]
    out.write_text(json.dumps({"scores": scores, "mutants": results}, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, try and count mutants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default="core", help=f"of {', '.join(TARGETS)}; separated by commas")
    parser.add_argument("--only", type=Path, metavar="FILE.json", help="an earlier --out: try its survivors again")
    parser.add_argument("--sample", type=int, help="mutants of each target; every one unless given")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    parser.add_argument("--budget", type=float, default=float("inf"), help="begin no mutant after so many seconds")
    parser.add_argument("--out", type=Path, help="write what became of each mutant into this JSON file")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    names = options.targets.split(",")
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"unknown target {unknown[0]!r}: choose from {', '.join(TARGETS)}")

    root = Path(__file__).resolve().parents[1]
    equivalent = json.loads((root / EQUIVALENT).read_text(encoding="utf-8")) if (root / EQUIVALENT).exists() else []
    if options.only is None:
        mutants = sampled(names, root, options.sample, options.seed)
    else:
        try:
            mutants = survivors(options.only, equivalent, root)
        except (OSError, ValueError, KeyError, TypeError) as error:
            parser.error(f"{options.only} is no result of --out: {error!r}")
        names = list(dict.fromkeys(mutant.target for mutant in mutants))
    _say(f"{len(mutants)} mutants, {options.jobs} at a time")
    run(mutants, root, options.jobs, options.budget, options.out)
    scores, enough = verdict(names, mutants, equivalent)
    write(options.out, mutants, scores)
    for name, score in scores.items():
        _say(
            f"{name}: {score['killed']} of {score['tried']} killed, {score['equivalent']} equivalent: "
            f"{score['share']:.1%} of the others; at least {score['floor']:.0%} wanted"
        )
    return 0 if enough else 1


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        work()
    else:
        sys.exit(main())
