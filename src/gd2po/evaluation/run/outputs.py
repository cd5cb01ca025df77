"""The outputs that an evaluation scores: generated now or in an earlier call, or made elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from gd2po.errors import ConfigError
from gd2po.evaluation.generation.output_log import OutputLog
from gd2po.evaluation.generation.outputs import read_outputs
from gd2po.evaluation.run.policy import LONGEST_COMPLETION, PolicyChoice
from gd2po.evaluation.run.progress import counting

Records = dict[str, dict[str, Any]]
"""What is saved of each output, by key."""


@dataclass(frozen=True)
class Task:
    """What a benchmark asks of a policy."""

    benchmark: str
    prompts: Sequence[Any]
    """N texts or message lists."""
    keys: Sequence[str]
    """N names of the prompts in files of outputs."""
    record: Callable[[int, str], Mapping[str, Any]]
    """Makes of a prompt's row and its output what is saved, without the key."""


@dataclass(frozen=True)
class Answers:
    """The outputs of a task."""

    task: Task
    policy: PolicyChoice | None
    """As it generated; None for outputs made elsewhere."""
    records: Records
    folder: Path | None
    """Where the scores go; None where outputs made elsewhere are only to be looked at."""


def collect(
    task: Task,
    policy: PolicyChoice | None,
    outputs: str | os.PathLike[str] | None,
    output_dir: str | os.PathLike[str] | None,
    console: Console,
) -> Answers:
    """The outputs of a task, from the policy or from a file.

    Args:
        task: asks.
        policy: generates what its folder does not hold yet; None to read `outputs`.
        outputs: a file, as `read_outputs` takes it; ignored with a policy, see `require_one_source`.
        output_dir: folder of outputs and scores; None for one under `runs` that is named for benchmark and model.
        console: shows the progress.

    Raises:
        ConfigError: the folder holds outputs of other settings, or the model cannot be loaded.
        DataFormatError: the file of outputs does not hold what it has to hold.
        OutputWriteError: the folder cannot be written to.
    """
    if policy is not None:
        policy = with_longest_completion(policy, task.benchmark)
        folder = Path(output_dir) if output_dir else default_folder(task.benchmark, policy)
        return Answers(task, policy, _generate(task, policy, folder, console), folder)
    assert outputs is not None
    texts = read_outputs(outputs, set(task.keys))
    rows = {key: row for row, key in enumerate(task.keys)}
    records = {key: {"key": key, **task.record(rows[key], text)} for key, text in texts.items()}
    return Answers(task, None, records, Path(output_dir) if output_dir else None)


def require_one_source(policy: PolicyChoice | None, outputs: str | os.PathLike[str] | None) -> None:
    """Raise unless the outputs come from a policy or from a file, and not from both.

    Raises:
        ConfigError: neither or both are given.
    """
    if (policy is None) == (outputs is None):
        raise ConfigError(
            "Give either a policy (`model_name_or_path`), which generates the outputs, or a file of them (`outputs`)."
        )


def with_longest_completion(policy: PolicyChoice, benchmark: str) -> PolicyChoice:
    """The policy with the benchmark's longest completion where it has none of its own."""
    longest = policy.max_completion_length or LONGEST_COMPLETION[benchmark]
    return replace(policy, max_completion_length=longest)


def default_folder(benchmark: str, policy: PolicyChoice) -> Path:
    """A folder named for the benchmark, how it samples, and the model.

    Example:
        >>> default_folder("toolcalls", PolicyChoice("org/model", temperature=1.0)).as_posix()
        'runs/toolcalls-temperature-1-seed-0-org-model'
    """
    sampling = f"-temperature-{policy.temperature:g}-seed-{policy.seed}" if policy.temperature > 0 else ""
    model = re.sub(r"[^A-Za-z0-9._-]+", "-", policy.model_name_or_path).strip("-.")
    return Path("runs") / f"{benchmark}{sampling}-{model}"


def _generate(task: Task, policy: PolicyChoice, folder: Path, console: Console) -> Records:
    """The record of each prompt; what an earlier call into the same folder saved is not generated again."""
    with OutputLog(folder / "outputs.jsonl", policy.settings(list(task.prompts))) as log:
        done, total = len(log.records), len(task.keys)
        if done:
            console.print(f"{done} of {total} outputs are in {log.path} already.", soft_wrap=True, markup=False)
        if done < total:
            _generate_missing(task, policy, log, console)
        return dict(log.records)


def _generate_missing(task: Task, policy: PolicyChoice, log: OutputLog, console: Console) -> None:
    """Load the policy and generate what the log does not hold."""
    # Not at the top: both load torch, which takes seconds, and scoring a file of outputs needs neither.
    from gd2po.evaluation.generation import policies
    from gd2po.evaluation.generation.generate import encode_prompts, new_tokens_that_fit
    from gd2po.evaluation.generation.runs import complete_all

    loaded = policies.load_policy(
        policy.path,
        backend=policy.backend,
        gguf_file=policy.gguf_file,
        model_revision=policy.model_revision,
        dtype=policy.dtype,
        device=policy.device,
        trust_remote_code=policy.trust_remote_code,
        temperature=policy.temperature,
        seed=policy.seed,
    )
    assert policy.max_completion_length is not None
    encoded = encode_prompts(loaded.tokenizer, task.prompts, max_tokens=policy.max_prompt_tokens)
    longest = new_tokens_that_fit(loaded.context, encoded, policy.max_completion_length)
    if longest < policy.max_completion_length:
        console.print(
            f"Completions end after {longest} tokens: the model's context has {loaded.context}, and the longest prompt "
            f"{max(map(len, encoded))}.",
            soft_wrap=True,
        )
    with counting(console, "Generating", "outputs", done=len(log.records), total=len(task.keys)) as advance:
        complete_all(
            loaded, encoded, task.keys, log, task.record,
            max_new_tokens=longest, batch_size=policy.prompts_at_once, on_batch=advance,
        )  # fmt: skip
