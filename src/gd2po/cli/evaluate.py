"""`gd2po evaluate`: how a policy does on API-Bank, on the built-in task, and under reward models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gd2po.cli.evaluation_run import (
    ModelChoice,
    console,
    counting,
    generate_outputs,
    output_folder,
    required_model,
    write_scores,
)
from gd2po.errors import ConfigError

if TYPE_CHECKING:
    from gd2po.data.safety import SafetyPrompt

evaluate = typer.Typer(
    no_args_is_help=True,
    help="Evaluate a policy. Outputs are saved as they come: the same command goes on where it was.",
)

Model = Annotated[str | None, typer.Option(help="Folder or hub id, or builtin:toolcalls.", show_default=False)]
Outputs = Annotated[
    str | None, typer.Option(help="Score the outputs of this file instead of generating.", show_default=False)
]
Out = Annotated[str | None, typer.Option(help="Folder for outputs and scores.", show_default=False)]
Limit = Annotated[int | None, typer.Option(help="The first so many prompts of each part only.", show_default=False)]
Backend = Annotated[str, typer.Option(help="transformers or vllm.")]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", "--max_new_tokens", help="Longest output, in tokens.")]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", "--batch_size", help="Prompts at once; 16, or 512 with vllm.", show_default=False),
]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str | None, typer.Option(help="Such as cuda:1 or cpu.", show_default=False)]
GgufFile = Annotated[
    str | None,
    typer.Option("--gguf-file", "--gguf_file", help="File in the model's folder, for GGUF.", show_default=False),
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.", show_default=False)]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", "--trust_remote_code", help="Run code that comes with the model.")
]


@evaluate.command("api-bank")
def api_bank(
    data: Annotated[str, typer.Option(help="Folder with level-1-api_processed.json and so on.")],
    model: Model = None,
    levels: Annotated[str, typer.Option(help="Which levels.")] = "1,2,3",
    outputs: Outputs = None,
    out: Out = None,
    limit: Limit = None,
    backend: Backend = "transformers",
    max_new_tokens: MaxNewTokens = 4096,
    batch_size: BatchSize = None,
    dtype: Dtype = "auto",
    device: Device = None,
    gguf_file: GgufFile = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Score tool calls on API-Bank: accuracy, format and length of thought, per level and overall."""
    from gd2po.evaluation.api_bank import load_api_bank, score_output, summarise

    chosen = required_model(model, outputs)
    samples = load_api_bank(data, parse_levels(levels), limit=limit)
    keys = [sample.key for sample in samples]

    def record(row: int, text: str) -> Mapping[str, Any]:
        sample = samples[row]
        score = score_output(text, sample.answer)
        scores = {**asdict(score), "format_ok": score.format_ok}
        return {"level": sample.level, "index": sample.index, "raw_output": text, **scores}

    choice = None
    if chosen is not None:
        choice = ModelChoice(
            chosen, backend, gguf_file, revision, dtype, device, trust_remote_code, max_new_tokens, None, batch_size
        )
    records, folder = _outputs(choice, outputs, [sample.prompt for sample in samples], keys, record, out, "api-bank")
    texts = {key: found["raw_output"] for key, found in records.items()}
    # Scored anew: outputs made under an older version of the scoring are worth as much as new ones.
    summary = summarise(
        (sample.level, score_output(texts[sample.key], sample.answer)) for sample in samples if sample.key in texts
    )
    rows = {
        name: [str(part.num_outputs), _percent(part.accuracy), _percent(part.format), f"{part.length:.3f}"]
        for name, part in summary.items()
    }
    _print_table("API-Bank, greedy decoding", ["outputs", "accuracy", "format", "length"], rows)
    _say_missing(len(texts), len(keys))
    _write(folder, "api-bank", choice, {name: asdict(part) for name, part in summary.items()}, records)


@evaluate.command("toolcalls")
def toolcalls(
    model: Model = None,
    size: Annotated[int, typer.Option(help="Held-out prompts.")] = 512,
    target_words: Annotated[
        float, typer.Option("--target-words", "--target_words", help="Words of thought for a length of 1.")
    ] = 32,
    temperature: Annotated[float, typer.Option(help="0 for greedy outputs; 1 samples as a training run does.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    outputs: Outputs = None,
    out: Out = None,
    backend: Backend = "transformers",
    max_new_tokens: MaxNewTokens = 128,
    batch_size: BatchSize = None,
    dtype: Dtype = "auto",
    device: Device = None,
    gguf_file: GgufFile = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Score the built-in task: exactly right calls, and the mean of each reward."""
    from gd2po.data import load_toolcalls
    from gd2po.evaluation.held_out import score_held_out
    from gd2po.evaluation.toolcalls import exact_call
    from gd2po.rewards import configure, think_length, tool_call_correctness, tool_call_format

    chosen = required_model(model, outputs)
    dataset = list(load_toolcalls("test", size))
    keys = [str(row) for row in range(len(dataset))]

    def record(row: int, text: str) -> Mapping[str, Any]:
        return {"index": row, "raw_output": text, "exact": exact_call(text, dataset[row]["answer"])}

    choice = None
    if chosen is not None:
        choice = ModelChoice(
            chosen, backend, gguf_file, revision, dtype, device, trust_remote_code, max_new_tokens, None, batch_size,
            temperature, seed,
        )  # fmt: skip
    prompts = [row["prompt"] for row in dataset]
    benchmark = f"toolcalls-temperature-{temperature:g}-seed-{seed}" if temperature > 0 else "toolcalls"
    records, folder = _outputs(choice, outputs, prompts, keys, record, out, benchmark)
    scored = [row for row, key in enumerate(keys) if key in records]
    rewards: list[Any] = [tool_call_correctness, tool_call_format, configure(think_length, target_words=target_words)]
    texts = [str(records[keys[row]]["raw_output"]) for row in scored]
    scores = score_held_out([dataset[row] for row in scored], texts, rewards, tool_calls=True)
    assert scores.exact_call_accuracy is not None
    means = {"exact_call_accuracy": scores.exact_call_accuracy, **scores.rewards}
    rows = {name: [f"{value:.4f}"] for name, value in means.items()}
    decoding = f"temperature {temperature:g}" if temperature > 0 else "greedy decoding"
    how = decoding if outputs is None else "outputs made elsewhere"
    _print_table(f"toolcalls, {scores.num_prompts} held-out prompts, {how}", ["mean"], rows)
    _say_missing(len(scored), len(keys))
    summary = {"num_outputs": scores.num_prompts, "target_words": target_words, **means}
    _write(folder, "toolcalls", choice, summary, records)


@evaluate.command("safety")
def safety(
    data: Annotated[str, typer.Option(help="File of prompts, or folder with test files of them.")],
    reward_models: Annotated[
        str,
        typer.Option("--reward-models", "--reward_models", help="name=folder or hub id, with commas between them."),
    ],
    model: Model = None,
    outputs: Outputs = None,
    out: Out = None,
    limit: Limit = None,
    backend: Backend = "transformers",
    max_new_tokens: MaxNewTokens = 1024,
    max_prompt_tokens: Annotated[
        int,
        typer.Option("--max-prompt-tokens", "--max_prompt_tokens", help="Of a longer prompt only the end is read."),
    ] = 512,
    batch_size: BatchSize = None,
    reward_batch_size: Annotated[
        int, typer.Option("--reward-batch-size", "--reward_batch_size", help="Conversations scored at once.")
    ] = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    gguf_file: GgufFile = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Score helpfulness and safety: the mean of each reward model and of their sum, per data set."""
    from gd2po.data.safety import load_safety_prompts
    from gd2po.evaluation.safety import summarise_rewards

    chosen = required_model(model, outputs)
    models = parse_reward_models(reward_models)
    prompts = load_safety_prompts(data, limit=limit)
    keys = [prompt.key for prompt in prompts]

    def record(row: int, text: str) -> Mapping[str, Any]:
        return {"dataset": prompts[row].dataset, "raw_output": text}

    choice = None
    if chosen is not None:
        choice = ModelChoice(
            chosen, backend, gguf_file, revision, dtype, device, trust_remote_code, max_new_tokens,
            max_prompt_tokens, batch_size,
        )  # fmt: skip
    records, folder = _outputs(choice, outputs, [prompt.prompt for prompt in prompts], keys, record, out, "safety")
    if folder is None:
        raise ConfigError("`--out` is missing: scores of reward models take time, and are saved there as they come.")
    answered = [prompt for prompt in prompts if prompt.key in records]
    options = {
        "dtype": dtype,
        "device": device,
        "batch_size": reward_batch_size,
        "trust_remote_code": trust_remote_code,
    }
    scores = {name: _reward_scores(name, path, answered, records, folder, options) for name, path in models.items()}
    summary = summarise_rewards([prompt.dataset for prompt in answered], scores)
    rows = {
        dataset: [str(part.num_outputs), *(f"{mean:.4f}" for mean in part.means.values()), f"{part.total:.4f}"]
        for dataset, part in summary.items()
    }
    _print_table("Mean rewards, greedy decoding", ["outputs", *models, "sum"], rows)
    _say_missing(len(answered), len(keys))
    for name, values in scores.items():
        for prompt, value in zip(answered, values, strict=True):
            records[prompt.key] = {**records[prompt.key], name: value}
    _write(folder, "safety", choice, {name: asdict(part) for name, part in summary.items()}, records)


def parse_levels(text: str) -> list[int]:
    """The levels in a list with commas.

    Raises:
        ConfigError: it is none.

    Example:
        >>> parse_levels("1,3")
        [1, 3]
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"`--levels` needs numbers with commas between them, like 1,3: got {text!r}.") from error


def parse_reward_models(text: str) -> dict[str, str]:
    """Reward models by name; a model without a name has that of its folder.

    Raises:
        ConfigError: one is empty, or two have the same name.

    Example:
        >>> parse_reward_models("useful=org/rm,models/harmless")
        {'useful': 'org/rm', 'harmless': 'models/harmless'}
    """
    models: dict[str, str] = {}
    for part in text.split(","):
        name, given, path = part.strip().partition("=")
        if not given:
            name, path = Path(name).name, name
        if not name or not path or "/" in name:
            raise ConfigError(f"`--reward-models` needs name=model with commas between them, got {text!r}.")
        if name in (*models, "sum", "outputs"):
            raise ConfigError(f"`--reward-models`: the name {name!r} is taken. Give each model its own: name=model.")
        models[name] = path
    return models


def _outputs(
    choice: ModelChoice | None,
    outputs: str | None,
    prompts: list[Any],
    keys: list[str],
    record: Any,
    out: str | None,
    benchmark: str,
) -> tuple[dict[str, dict[str, Any]], Path | None]:
    """The records to score, and the folder for the scores; None if outputs from elsewhere are only to be looked at."""
    if choice is not None:
        folder = output_folder(out, benchmark, choice.model)
        return generate_outputs(choice, prompts, keys, record, folder), folder
    from gd2po.evaluation.generation.outputs import read_outputs

    texts = read_outputs(str(outputs), set(keys))
    rows = {key: row for row, key in enumerate(keys)}
    records = {key: {"key": key, **record(rows[key], text)} for key, text in texts.items()}
    return records, None if out is None else Path(out)


def _reward_scores(
    name: str,
    path: str,
    prompts: list[SafetyPrompt],
    records: Mapping[str, Mapping[str, Any]],
    folder: Path,
    options: dict[str, Any],
) -> list[float]:
    """The score of each output under one reward model, which is gone from memory afterwards."""
    from gd2po.evaluation.generation.output_log import OutputLog
    from gd2po.evaluation.generation.runs import fingerprint, model_fingerprint
    from gd2po.evaluation.safety import score_all

    texts = [str(records[prompt.key]["raw_output"]) for prompt in prompts]
    shown = [[prompt.key, prompt.prompt, text] for prompt, text in zip(prompts, texts, strict=True)]
    settings = {"model": path, "model_state": model_fingerprint(path), "dtype": options["dtype"]}
    with OutputLog(folder / f"reward-{name}.jsonl", {**settings, "outputs": fingerprint(shown)}) as log:
        with counting(f"Scoring: {name}", len(prompts), len(log.records)) as advance:
            score_all(path, name, options, [prompt.key for prompt in prompts], [prompt.prompt for prompt in prompts],
                      texts, log, on_batch=advance)  # fmt: skip
        return [float(log.records[prompt.key]["score"]) for prompt in prompts]


def _print_table(title: str, columns: list[str], rows: Mapping[str, list[str]]) -> None:
    from rich.table import Table

    table = Table()
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(title)  # not the table's own title, which wraps at the table's width
    console.print(table)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _say_missing(found: int, wanted: int) -> None:
    if found < wanted:
        console.print(f"{wanted - found} of {wanted} prompts have no output in the file, and count nowhere.")


def _write(folder: Path | None, benchmark: str, choice: ModelChoice | None, summary: Any, records: Any) -> None:
    """The scores with every output, where a folder was asked for or outputs were generated."""
    if folder is not None:
        settings = None if choice is None else asdict(choice)
        outputs = list(records.values())
        value = {"benchmark": benchmark, "settings": settings, "scores": summary, "outputs": outputs}
        write_scores(folder / "scores.json", value)
