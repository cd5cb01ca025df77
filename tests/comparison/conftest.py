"""Plans and runs that are constructed, and a small program in the place of `gd2po train`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from gd2po.comparison.results import Run
from gd2po.comparison.run.plan import Plan, builtin_methods

PROGRAM = """
import json, os, sys, time
from pathlib import Path

def write_checkpoint(folder, step):
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "optimizer_0").mkdir(parents=True, exist_ok=True)
    (checkpoint / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": step}))

words = sys.argv[1:]
options = {word[2:]: words[at + 1] for at, word in enumerate(words) if word.startswith("--")}
folder, seed = Path(options["output_dir"]), int(options["seed"])
first = 0
if "resume_from_checkpoint" in options:
    first = int(options["resume_from_checkpoint"].rsplit("-", 1)[1])
print("threads", os.environ["OMP_NUM_THREADS"], "resumed from", first)
action = options.get("action", "")
if action == "crash":
    raise ValueError("the weights are wrong")
if action == "full":
    raise OSError(28, "No space left on device")
(folder / "rollouts").mkdir(parents=True, exist_ok=True)
for step in range(first + 1, 4):
    table = {"step": [step] * 4, "prompt": [f"prompt {seed} {step} {row // 2}" for row in range(4)],
             "completion_tokens": [10 * step] * 4}
    path = folder / "rollouts" / f"step_{step:06d}.parquet"
    if action == "log":  # takes most of the time of this program
        import pyarrow as pa, pyarrow.parquet as pq
        pq.write_table(pa.table(table), path)
    else:
        path.touch()
    write_checkpoint(folder, step)
    if action == "wait" and step == 2 and not first:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            (folder / "interrupted").touch()
            sys.exit(130)
lines = [{"step": step, "num_prompts": 8, "rewards": {"brevity": 0.1 * step + seed},
          "metrics": {"verified": 0.25 + 0.125 * step}, "shares": ["verified"]} for step in (0, 3)]
(folder / "evaluations.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
log = [{"step_time": 2.0, "conflict/filtered_rate": 0.25, "conflict/rate": 0.5, "conflict/retained/brevity": 0.75}]
(folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
(folder / "summary.json").write_text("{}")
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A program that leaves a run folder behind at once; the option `action` makes it crash or wait."""
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(PROGRAM)
    return (sys.executable, str(path))


@pytest.fixture(scope="session")
def make_plan() -> Callable[..., Plan]:
    """A plan of three steps."""

    def make(methods: Mapping[str, dict[str, str]] | Sequence[str], seeds: Sequence[int] = (0, 1)) -> Plan:
        chosen = dict(methods) if isinstance(methods, Mapping) else {name: builtin_methods()[name] for name in methods}
        baseline = "gdpo" if "gdpo" in chosen else next(iter(chosen))
        settings = {"learning_rate": 1e-3, "eval_prompts": 8}
        return Plan("quickstart", [], settings, chosen, list(seeds), baseline, steps=3, eval_every=3, threads=1)

    return make


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """A finished run whose scores rise in a straight line from `start` to `final`."""

    def make(method: str, seed: int, final: Mapping[str, float], start: float = 0.5, **changes: Any) -> Run:
        curve = tuple(
            (step, {metric: start + (value - start) * step / 20 for metric, value in final.items()})
            for step in (0, 10, 20)
        )
        filtered = {"rate": 0.4, "filtered_rate": 0.0 if method == "gdpo" else 0.2, "snr_threshold": 0.3}
        filtered |= {"retained/brevity": 0.9, "retained_negative/brevity": 0.8, "correlation/a/b": 0.6}
        values: dict[str, Any] = {
            "curve": curve, "filter": filtered, "seconds_per_step": 2.0, "tokens_per_step": 3000.0,
            "rollouts_per_step": 64.0, "prompts_digest": f"prompts of {seed}",
        }  # fmt: skip
        return Run(method, seed, "done", **{**values, **changes})

    return make
