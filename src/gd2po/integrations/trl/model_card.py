"""The model card of a policy: what it was trained for, how, what it scored, and how far its rewards agreed."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCardData

from gd2po.core.metrics import PREFIX
from gd2po.evaluation.held_out import HeldOutScores
from gd2po.report.wording import counted, number, percent, signed

if TYPE_CHECKING:
    from gd2po.integrations.trl.trainer import GD2POTrainer

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{5})")
_PACKAGES = ("gd2po", "trl", "transformers", "torch", "datasets", "tokenizers")


@dataclass(frozen=True)
class CardFacts:
    """What a trainer is not told, and its model card should tell.

    Args:
        base_model: what was trained: a hub id, or a name such as builtin:toolcalls.
        dataset: the prompts.
        before: held-out scores before training.
        after: the same after it.
    """

    base_model: str | None = None
    dataset: str | None = None
    before: HeldOutScores | None = None
    after: HeldOutScores | None = None


def training_means(log_history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over the logged steps of every metric about the rewards and their conflicts."""
    logged = [entry for entry in log_history if f"{PREFIX}/rate" in entry]
    means = {}
    for key in logged[0] if logged else ():
        values = [entry[key] for entry in logged if isinstance(entry.get(key), (int, float))]
        if values and (key.startswith(f"{PREFIX}/") or key.startswith("rewards/")):
            means[key] = sum(values) / len(values)
    return means


def model_card(trainer: GD2POTrainer, name: str, facts: CardFacts, tags: Iterable[str] = ()) -> str:
    """The card as Markdown, with its YAML header.

    Args:
        trainer: before, in or after training.
        name: of the policy.
        facts: what the trainer does not know.
        tags: beside those of TRL and the method.
    """
    setting = trainer.args.setting()
    papers = _ARXIV.findall(setting.method.source)
    base, dataset = facts.base_model or _name_of(trainer.accelerator.unwrap_model(trainer.model)), facts.dataset
    header = ModelCardData(
        base_model=_hub_id(base),
        datasets=_hub_id(dataset),
        library_name="peft" if _is_adapter(trainer) else "transformers",
        pipeline_tag="text-generation",
        model_name=name,
        tags=sorted({"generated_from_trainer", *tags, *trainer._tag_names, *(f"arxiv:{paper}" for paper in papers)}),
    )
    names = trainer.reward_func_names
    trained = f"{_code(base)}, trained" if base else "A model trained"
    sections = [
        f"# {_text(name)}",
        f"{trained} by reinforcement learning on {counted(len(names), 'reward')} with gd2po's method "
        f"{_code(setting.label)}, in TRL.",
        "## Rewards\n\n" + _rewards(trainer),
        "## Data\n\n" + _data(trainer, dataset),
        f"## Method\n\n{_code(setting.label)}: {setting.method.title}. {_source(setting.method.source)}",
        "## Settings\n\n" + _settings(trainer),
        "## Held-out scores\n\n" + _scores(facts),
        "## Conflicts of the rewards\n\n" + _conflicts(trainer),
        "## Limits\n\nThe rewards above are what the model was trained for. Nothing here says how it does on other "
        "tasks, or whether it is safe.",
        "## Versions\n\n" + ", ".join(f"{package} {metadata.version(package)}" for package in _PACKAGES),
        "## Citation\n\n" + _citation(setting.method.source),
    ]
    return f"---\n{header.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


def _rewards(trainer: GD2POTrainer) -> str:
    args, names = trainer.args, trainer.reward_func_names
    weights = args.weights()
    plain = weights.plain() if weights is not None else [1.0] * len(names)
    columns = ["reward", "weight"]
    rows = [[_code(name), _text(weight)] for name, weight in zip(names, plain, strict=True)]
    if args.reward_families:
        columns.append("family")
        rows = [[*row, _text(args.reward_families.get(name, name))] for row, name in zip(rows, names, strict=True)]
    text = _table(columns, rows)
    conditions = args.conditions()
    if conditions is not None:
        text += "\n\n" + "\n".join(f"* {_text(condition.words)}" for condition in conditions.conditions)
    return text


def _data(trainer: GD2POTrainer, dataset: str | None) -> str:
    try:
        size = counted(len(trainer.train_dataset), "prompt")
    except TypeError:  # a stream of prompts
        size = "Prompts"
    return f"{size} of {_code(dataset)}." if dataset else f"{size}."


def _settings(trainer: GD2POTrainer) -> str:
    args = trainer.args
    values = {
        "steps": f"{trainer.state.global_step}",
        "rollouts per prompt": trainer.num_generations,
        "rollouts per generation batch": args.generation_batch_size,
        "completion tokens at most": args.max_completion_length,
        "temperature": args.temperature,
        "learning rate": f"{args.learning_rate:g}",
        "loss": args.loss_type,
        "KL penalty (beta)": args.beta,
        "seed": args.seed,
        "trained": "a LoRA adapter" if _is_adapter(trainer) else "all weights",
    }
    options = {name: value for name, value in args.setting().resolved.items() if value is not None}
    return _table(["setting", "value"], [[_text(key), _text(value)] for key, value in {**values, **options}.items()])


def _scores(facts: CardFacts) -> str:
    before, after = facts.before, facts.after
    if after is None:
        return "None were taken." if before is None else "Training has not ended."
    rows = []
    for kind in ("metrics", "rewards"):
        for name, value in getattr(after, kind).items():
            form = "{:.1%}" if kind == "metrics" and name in after.shares else "{:.3f}"
            earlier = None if before is None else getattr(before, kind).get(name)
            role = "not trained on" if kind == "metrics" else "reward"
            rows.append([_code(name), role, "–" if earlier is None else form.format(earlier), form.format(value)])
    prompts = counted(after.num_prompts, "held-out prompt")
    return f"{prompts}, greedy decoding:\n\n" + _table(["score", "", "before", "after"], rows)


def _conflicts(trainer: GD2POTrainer) -> str:
    means = training_means(trainer.state.log_history)
    if not means:
        return "No step was logged."
    rows = [
        [
            _code(name),
            number(means.get(f"rewards/{name}/mean")),
            percent(means.get(f"{PREFIX}/retained/{name}")),
            signed(means.get(f"{PREFIX}/alignment/{name}")),
        ]
        for name in trainer.reward_func_names
    ]
    text = (
        f"Means over the logged steps: the rewards conflicted on {percent(means[f'{PREFIX}/rate'])} of the rollouts, "
        f"and {percent(means.get(f'{PREFIX}/filtered_rate'))} were left out.\n\n"
        + _table(["reward", "mean", "signal retained", "alignment with the update"], rows)
    )
    idle = [f"* {_code(name)} {what}: it taught nothing." for name, what in trainer.idle_rewards().items()]
    return "\n\n".join([text, *(["\n".join(idle)] if idle else [])])


def _citation(source: str) -> str:
    lines = [f"* The method: {_source(source)}"]
    lines.append(f"* gd2po {metadata.version('gd2po')}, whose CITATION.cff says how to cite it.")
    lines.append("* TRL: Transformers Reinforcement Learning, https://github.com/huggingface/trl")
    return "\n".join(lines)


def _source(source: str) -> str:
    return _ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", source) + "."


def _is_adapter(trainer: GD2POTrainer) -> bool:
    return hasattr(trainer.accelerator.unwrap_model(trainer.model), "peft_config")


def _name_of(model: Any) -> str | None:
    """What a model was loaded from: its hub id, or the name of its folder, without the way there."""
    path = getattr(model.config, "_name_or_path", "")
    return (Path(path).name if Path(path).is_dir() else path) or None


def _hub_id(name: str | None) -> str | None:
    """A name that the hub can look up; not a path, a URL or something built in."""
    return name if name and _HUB_ID.fullmatch(name) and not Path(name).exists() else None


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: Any) -> str:
    """Text that is neither markup nor the end of a table's cell."""
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", " ".join(html.escape(str(value), quote=False).split()))


def _code(value: Any) -> str:
    return "`" + " ".join(str(value).replace("`", "'").replace("|", "¦").split()) + "`"
