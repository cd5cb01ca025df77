"""`gd2po compare`: methods x seeds, run and compared."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from gd2po.comparison.analysis import compare
from gd2po.comparison.results import read_runs
from gd2po.comparison.run import DEFAULT_METHODS
from gd2po.comparison.run import folder as files
from gd2po.comparison.run.plan import (
    Plan,
    choose_baseline,
    choose_methods,
    method_names,
    parse_seeds,
    read_plan,
    refuse_same_settings,
    require_same_comparison,
    write_plan,
)
from gd2po.comparison.run.runner import Runner, override_arguments
from gd2po.comparison.views.page import write_html, write_json
from gd2po.comparison.views.terminal import print_comparison
from gd2po.errors import ConfigError
from gd2po.recipes import recipe_path
from gd2po.report.page import require_page_packages
from gd2po.report.terminal import print_written
from gd2po.runs.folder import write_config
from gd2po.training import INTERRUPTED, setup
from gd2po.training.arguments import ParsedRun, parse_run

EVALUATIONS = 5
"""Of each run, the one before training left out, unless `eval_every` says otherwise."""

RUN_PROGRAM = (sys.executable, "-m", "gd2po.training.worker")
CHECK_PROGRAM = (sys.executable, "-m", "gd2po", "check-rewards")
"""In a process of its own: a reward model or a policy that it loads is gone before the first run."""

_FIXED = ("--report_to", "none", "--html_report", "false")
"""A comparison has a page of its own."""

_INSTEAD = {
    "seed": "Name the seeds in `seeds`.",
    "output_dir": "Each run has a folder in the comparison's own.",
    "resume_from_checkpoint": "The same command resumes a comparison that was stopped.",
    "log_rollouts": "They are always logged.",
    "overwrite_output_dir": "Name another `output_dir` for the comparison.",
    "dry_run": "It is of `gd2po train`.",
}
"""What a comparison sets for its runs, and the way to say it."""

_OF_A_RUN = ("output_dir", "seed", "run_name", "logging_dir", "check_rewards")
"""Fields that differ between the runs of any comparison, or follow from those."""


@dataclass(frozen=True)
class CompareOptions:
    """What to compare, besides the settings of all runs."""

    config: str = "quickstart"
    """A packaged recipe or a YAML file."""
    methods: str = DEFAULT_METHODS
    """Built-in methods, with commas between them; "" for none."""
    own_methods: Sequence[str] = field(default_factory=list)
    """`name:key=value,key=value` each."""
    seeds: str = "0-4"
    """Numbers and ranges, with commas between them."""
    jobs: int = 1
    """Runs at a time."""
    threads: int | None = None
    """Of each run; None for the cores divided by `jobs`."""
    output_dir: str | None = None
    """Folder of the comparison; None for one under `runs` named for the configuration."""
    baseline: str | None = None
    """Method that the others are compared with; None for gdpo, or the first where gdpo is not compared."""
    eval_prompts: int = 256
    """Held-out prompts."""
    eval_every: int | None = None
    """Steps between two evaluations; None for a fifth of all."""
    targets: Sequence[str] = field(default_factory=list)
    """Scores whose first reaching is reported: `score=number` each."""


def compare_command(options: CompareOptions, arguments: Sequence[str]) -> int:
    """Run `gd2po compare`; the exit status: 0, 1 if a run failed, 130 after Ctrl-C.

    Args:
        options: of the comparison.
        arguments: settings of all runs, as `gd2po train` takes them.

    Raises:
        MissingDependencyError: `gd2po[report]` is not installed.
        ConfigError: whatever would fail in every run, before the first begins.
        RunFolderError: the folder holds another comparison, or one is at work in it.
        DiskFullError: no space is left.
    """
    require_page_packages("A comparison", "trl,report")
    if options.jobs < 1:
        raise ConfigError(f"`jobs` must be at least 1: got {options.jobs}.")
    targets = parse_targets(options.targets)
    plan, base = make_plan(options, arguments)
    folder = Path(options.output_dir or f"runs/compare-{recipe_path(options.config).stem}")
    console = Console()
    with files.opened(folder):
        old = read_plan(folder)
        if old is not None:
            if options.threads is None:  # the default follows `jobs`, which may change from one time to the next
                plan = dataclasses.replace(plan, threads=old.threads)
            require_same_comparison(folder, plan, old)
        try:
            if old is None and base.run.check_rewards:
                _check_rewards(base)
            write_config(folder, {**base.resolved, "check_rewards": False}, files.SETTINGS)
            write_plan(folder, plan)
            Runner(plan, folder, RUN_PROGRAM, options.jobs, console).run()
        except KeyboardInterrupt:
            console.print(f"\nStopped. The same command resumes it: {folder}", highlight=False)
            return INTERRUPTED
        comparison = compare(plan, read_runs(plan, folder), targets)
        written = [
            write_json(comparison, folder / files.JSON_NAME),
            write_html(comparison, folder / files.HTML_NAME),
        ]
    print_comparison(comparison, console)
    print_written(written, console)
    return int(any(method.failed for method in comparison.methods))


def _check_rewards(base: ParsedRun) -> None:
    """Try the rewards, which are those of all runs, and print what is found.

    Raises:
        ConfigError: one can never teach anything, or the check cannot be made.
    """
    with tempfile.TemporaryDirectory() as folder:  # the comparison's own stays empty until there is one
        write_config(Path(folder), base.resolved, files.SETTINGS)
        tried = subprocess.run([*CHECK_PROGRAM, "--config", str(Path(folder, files.SETTINGS))], check=False)
    if tried.returncode:
        raise ConfigError(
            "The rewards did not pass their check before the first run; what is wrong stands above. Repair it, or set "
            "`check_rewards` to false to compare all the same."
        )


def make_plan(options: CompareOptions, arguments: Sequence[str]) -> tuple[Plan, ParsedRun]:
    """The plan that a command line asks for, and the settings that all of its runs share.

    Raises:
        ConfigError: anything wrong with it, a value that a method sets included.
    """
    methods = choose_methods(method_names(options.methods), options.own_methods)
    seeds = parse_seeds(options.seeds)
    for argument in arguments:
        _refuse_own(argument.partition("=")[0])
    own = ["--config", options.config, *_FIXED, *arguments, "--eval_prompts", str(options.eval_prompts)]
    base = _parse([*own, "--eval_every", "0"], "`gd2po compare`")
    steps = base.training.max_steps
    if steps < 1:
        raise ConfigError(f"`max_steps` must be at least 1, so that all methods train equally long: got {steps}.")
    if options.eval_prompts < 1:
        raise ConfigError(f"`eval_prompts` must be at least 1: got {options.eval_prompts}. They are the evidence.")
    every = options.eval_every if options.eval_every is not None else -(-steps // EVALUATIONS)
    if every < 1:
        raise ConfigError(f"`eval_every` must be at least 1: got {every}.")
    base = _parse([*own, "--eval_every", str(every)], "`gd2po compare`")
    reward_funcs = setup.load_reward_funcs(base.run)
    setup.load_eval_funcs(base.run, reward_funcs)
    resolved: dict[str, dict[str, Any]] = {}
    for name, overrides in methods.items():
        extra = [item for key, value in overrides.items() for item in override_arguments(key, value)]
        parsed = _parse([*own, "--eval_every", str(every), *extra], f"method {name!r}")
        with _about(f"method {name!r}"):
            setup.require_settings_of_these(parsed, reward_funcs)
        resolved[name] = _settings(parsed)
    refuse_same_settings(resolved)
    threads = options.threads if options.threads is not None else max(1, _cores() // options.jobs)
    if threads < 1:
        raise ConfigError(f"`threads` must be at least 1: got {threads}.")
    plan = Plan(
        config=options.config,
        arguments=list(arguments),
        settings=_settings(base),
        methods=methods,
        seeds=seeds,
        baseline=choose_baseline(options.baseline, methods),
        steps=steps,
        eval_every=every,
        threads=threads,
    )
    return plan, base


def _refuse_own(flag: str) -> None:
    """Raise for a field that the comparison sets itself."""
    name = flag.removeprefix("--").replace("-", "_")
    if flag.startswith("--") and name in _INSTEAD:
        raise ConfigError(f"`{name}` cannot be set for all runs of a comparison. {_INSTEAD[name]}")


def _parse(arguments: list[str], whose: str) -> ParsedRun:
    """Arguments of a run; an error says whose they are."""
    with _about(whose):
        return parse_run(arguments, output_dir="unused")


@contextmanager
def _about(whose: str) -> Iterator[None]:
    """Say in an error whose arguments are wrong."""
    try:
        yield
    except ValueError as error:  # of ours or of TRL's
        raise ConfigError(f"{whose}: {error}") from error


def _settings(parsed: ParsedRun) -> dict[str, Any]:
    """Every field that tells one comparison from another, as JSON would give it back."""
    return {
        key: value if value is None or isinstance(value, (str, int, float, bool, list, dict)) else str(value)
        for key, value in sorted(parsed.resolved.items())
        if key not in _OF_A_RUN
    }


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_targets(texts: Sequence[str]) -> dict[str, float]:
    """Scores to reach, by metric.

    Raises:
        ConfigError: not `metric=number`, or one metric twice.

    Example:
        >>> parse_targets(["exact_calls=0.65"])
        {'exact_calls': 0.65}
    """
    targets: dict[str, float] = {}
    for text in texts:
        metric, sign, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            sign = ""
        if not sign or not metric.strip():
            raise ConfigError(f"`targets` must be score=number, such as 'exact_calls=0.65': got {text!r}.")
        if metric.strip() in targets:
            raise ConfigError(f"`targets` names {metric.strip()!r} twice. Leave one out.")
        targets[metric.strip()] = value
    return targets
