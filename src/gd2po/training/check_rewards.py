"""`gd2po check-rewards`: what `gd2po train` asks of reward functions before its first step, without a run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from gd2po.data import builtin_model
from gd2po.errors import RewardFunctionError
from gd2po.report.wording import counted, number
from gd2po.rewards import callable_name, check_reward_func
from gd2po.rewards.check.report import RewardFunctionReport
from gd2po.rewards.check.rollouts import check_columns, check_on_rollouts
from gd2po.rewards.check.samples import reference_completions
from gd2po.rewards.protocol import Completion
from gd2po.training import setup
from gd2po.training.arguments import RunArguments, read_config
from gd2po.training.preflight import FURTHER_ROWS, ROLLOUTS, print_warnings, sample_rollouts, spread_rows


@dataclass(frozen=True)
class CheckOptions:
    """What to check; fields as of `gd2po train`, None where the command line says nothing."""

    config: str | None = None
    reward_funcs: list[str] | None = None
    reward_kwargs: list[str] | None = None
    dataset_name: str | None = None
    dataset_config: str | None = None
    dataset_train_split: str | None = None
    model_name_or_path: str | None = None
    model_revision: str | None = None
    gguf_file: str | None = None
    max_completion_length: int | None = None


def check_rewards_command(options: CheckOptions, console: Console) -> int:
    """Check reward functions and print what was found; the exit status, 2 where one can teach nothing.

    Raises:
        GD2POError: a function, data set or model cannot be loaded.
    """
    values = {} if options.config is None else read_config(options.config, "train")
    told = {name: value for name, value in vars(options).items() if value is not None}
    if "reward_funcs" in told and "reward_kwargs" not in told:
        values.pop("reward_kwargs", None)
    values |= told
    fields = RunArguments.__dataclass_fields__
    run = RunArguments(**{
        name: values[name]
        for name in fields
        if name in values and name.startswith(("reward_funcs", "reward_kwargs", "dataset"))
    })  # fmt: skip
    reward_funcs = setup.load_reward_funcs(run)
    samples = _samples(run, values)
    console.print(f"On {samples.origin}:", highlight=False, markup=False, soft_wrap=True)
    failed = False
    for func in reward_funcs:
        try:
            report = samples.check(func)
        except RewardFunctionError as error:
            failed = True
            console.print(f"[bold red]error:[/] {callable_name(func)}", highlight=False)
            console.print(f"  {error}", highlight=False, markup=False, soft_wrap=True)
            continue
        console.print(_line(report), highlight=False, markup=False, soft_wrap=True)
        print_warnings([report], console)
    return 2 if failed else 0


@dataclass(frozen=True)
class _Samples:
    """What the functions are tried on; no completions for the built-in ones."""

    origin: str
    completions: Sequence[Completion] = ()
    rows: Sequence[dict[str, Any]] = ()
    further_rows: Sequence[dict[str, Any]] = ()

    def check(self, reward_func: Any) -> RewardFunctionReport:
        if self.completions:
            check_columns(reward_func, self.rows[0])
            return check_on_rollouts(reward_func, self.completions, self.rows, self.further_rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are in the report
            return check_reward_func(reward_func)


def _samples(run: RunArguments, values: dict[str, Any]) -> _Samples:
    if run.dataset_name is None:
        return _Samples("eight built-in completions (name your prompts in `dataset_name` to check on them)")
    dataset = setup.load_train_prompts(run)
    rows, further = spread_rows(dataset, ROLLOUTS), spread_rows(dataset, FURTHER_ROWS)
    prompts = [row["prompt"] for row in rows]
    model = values.get("model_name_or_path")
    if model is None:
        origin = (
            f"{ROLLOUTS} completions made of the answers in {run.dataset_name}: right, another's, cut off, empty (name "
            "a policy in `model_name_or_path` to check on its rollouts)"
        )
        return _Samples(origin, reference_completions(rows), rows, further)
    from transformers.utils.logging import disable_progress_bar

    from gd2po.evaluation.generation.policies import load_policy

    disable_progress_bar()
    policy: Any = load_policy(
        builtin_model(model),
        gguf_file=values.get("gguf_file"),
        model_revision=values.get("model_revision"),
        dtype=values.get("dtype") or "auto",
        device="cpu" if values.get("use_cpu") else None,
        trust_remote_code=bool(values.get("trust_remote_code")),
    )
    completions = sample_rollouts(
        policy.model,
        policy.tokenizer,
        prompts,
        max_new_tokens=values.get("max_completion_length"),
        temperature=values.get("temperature", 1.0),
        seed=values.get("seed", 0),
    )
    return _Samples(f"{ROLLOUTS} rollouts of {model} on {run.dataset_name}", completions, rows, further)


def _line(report: RewardFunctionReport) -> str:
    scores = [score for score in report.scores if score is not None]
    applies = f"applies to {len(scores)} of {counted(len(report.scores), 'completion')}"
    if not scores:
        return f"{report.name}: {applies}"
    values = counted(len(set(scores)), "different value")
    return f"{report.name}: {applies}, scores {number(min(scores))} to {number(max(scores))}, {values}"
