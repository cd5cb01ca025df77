"""What the evaluations share: a policy, its outputs in a folder, a progress bar, scores as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gd2po.errors import ConfigError, OutputWriteError

INTERRUPTED = 130  # the shell's exit status for a program ended by Ctrl-C
console = Console()


@dataclass(frozen=True)
class ModelChoice:
    """The policy to evaluate, and how it generates."""

    model: str
    backend: str = "transformers"
    gguf_file: str | None = None
    revision: str | None = None
    dtype: str = "auto"
    device: str | None = None
    trust_remote_code: bool = False
    max_new_tokens: int = 4096
    max_prompt_tokens: int | None = None
    batch_size: int | None = None
    temperature: float = 0.0
    seed: int = 0

    @property
    def path(self) -> str:
        """Folder or hub id; the folder of a built-in policy for its name."""
        from gd2po.data import builtin_model

        return builtin_model(self.model)

    def settings(self, prompts: Any) -> dict[str, Any]:
        """What the outputs depend on. Where and in which batches they are generated may change from call to call."""
        from gd2po.evaluation.generation.runs import fingerprint, model_fingerprint

        chosen = {key: value for key, value in asdict(self).items() if key not in ("device", "batch_size")}
        return {**chosen, "model_state": model_fingerprint(self.path), "prompts": fingerprint(prompts)}


def output_folder(out: str | None, benchmark: str, model: str) -> Path:
    """The folder that was asked for, or one named for benchmark and model."""
    return Path(out) if out else Path("runs") / f"{benchmark}-{re.sub(r'[^A-Za-z0-9._-]+', '-', model).strip('-.')}"


def generate_outputs(
    choice: ModelChoice,
    prompts: Sequence[Any],
    keys: Sequence[str],
    record: Callable[[int, str], Mapping[str, Any]],
    folder: Path,
) -> dict[str, dict[str, Any]]:
    """The record of each prompt, by key; generated now, or in an earlier call into the same folder."""
    from gd2po.evaluation.generation.generate import encode_prompts, new_tokens_that_fit
    from gd2po.evaluation.generation.output_log import OutputLog
    from gd2po.evaluation.generation.policies import load_policy
    from gd2po.evaluation.generation.runs import complete_all

    with OutputLog(folder / "outputs.jsonl", choice.settings(list(prompts))) as log:
        done = len(log.records)
        if done:
            console.print(f"{done} of {len(keys)} outputs are in {log.path} already.", soft_wrap=True, markup=False)
        if done < len(keys):
            policy = load_policy(
                choice.path,
                backend=choice.backend,
                gguf_file=choice.gguf_file,
                revision=choice.revision,
                dtype=choice.dtype,
                device=choice.device,
                trust_remote_code=choice.trust_remote_code,
                temperature=choice.temperature,
                seed=choice.seed,
            )
            encoded = encode_prompts(policy.tokenizer, prompts, max_tokens=choice.max_prompt_tokens)
            longest = new_tokens_that_fit(policy.context, encoded, choice.max_new_tokens)
            if longest < choice.max_new_tokens:
                console.print(
                    f"Completions end after {longest} tokens: the model's context has {policy.context}, and the "
                    f"longest prompt {max(map(len, encoded))}.",
                    soft_wrap=True,
                )
            batch_size = choice.batch_size or (512 if choice.backend == "vllm" else 16)
            with counting("Generating", len(keys), done) as advance:
                complete_all(
                    policy, encoded, keys, log, record,
                    max_new_tokens=longest, batch_size=batch_size, on_batch=advance,
                )  # fmt: skip
        return dict(log.records)


@contextmanager
def counting(description: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """A progress bar to advance; Ctrl-C inside it ends the program with a word about what is saved."""
    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=total, completed=done)
        try:
            yield lambda count: bar.advance(task, count)
        except KeyboardInterrupt as interrupt:
            saved = int(bar.tasks[0].completed)
            console.print(f"Stopped. {saved} of {total} are saved; the same command goes on from there.")
            raise typer.Exit(INTERRUPTED) from interrupt


def write_scores(path: Path, value: Any) -> None:
    """Write the scores as JSON and say where.

    Raises:
        OutputWriteError: they cannot be written.
    """
    from gd2po.evaluation.generation.output_log import write_json

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, value)
    except OSError as error:
        raise OutputWriteError(
            f"Cannot write {path}: {error.strerror or error}. The outputs are safe; run the same command again."
        ) from error
    console.print(f"Written: {path}", highlight=False, soft_wrap=True, markup=False)


def required_model(model: str | None, outputs: str | None) -> str | None:
    """The model, where outputs are to be generated.

    Raises:
        ConfigError: neither or both of model and outputs are given.
    """
    if (model is None) == (outputs is None):
        raise ConfigError("Give either `--model`, to generate outputs, or `--outputs`, a file of outputs to score.")
    return model
