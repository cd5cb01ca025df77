"""`gd2po train`: one run, from its arguments to the table at its end."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerState
from transformers.utils.logging import disable_progress_bar
from trl import get_peft_config, get_quantization_config

from gd2po.errors import ConfigError, GD2POError
from gd2po.evaluation.generation.decoding import decode
from gd2po.evaluation.held_out import HeldOutScores
from gd2po.integrations.trl.model_card import CardFacts, training_means
from gd2po.integrations.trl.tracked_report import ReportToTrackers
from gd2po.integrations.trl.trainer import GD2POTrainer
from gd2po.report.commands import command
from gd2po.rewards.check.rollouts import check_columns
from gd2po.runs.checkpoints import STATE, newest_complete, step_in
from gd2po.runs.folder import (
    CONFIG,
    RunFolder,
    has_no_step,
    lacks_only_its_end,
    open_run_folder,
    write_config,
    write_summary,
)
from gd2po.training import INTERRUPTED, setup
from gd2po.training.arguments import ParsedRun, parse_run
from gd2po.training.callbacks import RewardLines, RewardProgress, RewriteCheckpoints, StopOnSignal, Stopwatch
from gd2po.training.disk import WarnOfLittleRoom, naming_what_is_needed
from gd2po.training.held_out import EvaluateEvery, HeldOutEvaluation
from gd2po.training.preflight import check_rewards_of
from gd2po.training.refusals import in_one_line
from gd2po.training.summary import print_dry_run, print_resume, print_summary

if TYPE_CHECKING:
    from gd2po.diagnosis.run_report import RunReport


def train_command(argv: Sequence[str]) -> int:
    """Run `gd2po train` with the given command line; the exit status."""
    parsed = parse_run(argv, output_dir=f"runs/{{recipe}}-{time.strftime('%Y%m%d-%H%M%S')}")
    run, training = parsed.run, parsed.training
    training.log_rollouts = parsed.resolved["log_rollouts"] = True
    training.run_name = training.run_name or Path(training.output_dir).name  # what trackers show
    training.dataloader_pin_memory &= torch.accelerator.is_available()  # without one, torch warns that it cannot
    disable_progress_bar()  # of loading and saving a model: they would break up the bar of the training
    reward_funcs = setup.load_reward_funcs(run)
    train_dataset = setup.load_train_prompts(run)
    held_out = setup.load_held_out_prompts(run)
    eval_funcs = setup.load_eval_funcs(run, reward_funcs)
    setup.require_readable(eval_funcs, held_out)
    for func in reward_funcs:
        check_columns(func, train_dataset[0])
    setup.require_settings_of_these(parsed, reward_funcs)
    if run.dry_run:
        print_dry_run(parsed)
        return 0
    with open_run_folder(training.output_dir, training.resume_from_checkpoint, run.overwrite_output_dir) as folder:
        training.resume_from_checkpoint = folder.checkpoint
        only_the_end = lacks_only_its_end(folder, training.max_steps)
        trainer = _make_trainer(parsed, reward_funcs, train_dataset, held_out)
        console = Console(quiet=not trainer.accelerator.is_main_process)
        for note in parsed.notes:
            console.print(f"Note: {note}", highlight=False, markup=False, soft_wrap=True)
        if run.check_rewards and folder.resume is None:
            check_rewards_of(trainer, reward_funcs, train_dataset, console)
        evaluation = HeldOutEvaluation(held_out, reward_funcs, eval_funcs, parsed, folder.path, console)
        with naming_what_is_needed(folder.path, trainer):
            try:
                return _train(parsed, folder, trainer, evaluation, console, only_the_end=only_the_end)
            except KeyboardInterrupt:  # outside the steps, or the second one
                _print_stopped(folder.path, console)
                return INTERRUPTED


def _train(
    parsed: ParsedRun,
    run_folder: RunFolder,
    trainer: GD2POTrainer,
    evaluation: HeldOutEvaluation,
    console: Console,
    *,
    only_the_end: bool,
) -> int:
    """Train in a folder that is held, unless that is done, and leave there what the run says; the exit status."""
    folder, run = run_folder.path, parsed.run
    if trainer.accelerator.is_main_process:
        run_folder.clear()
        write_config(folder, parsed.resolved)
    console.print(f"Run folder: [bold]{folder}[/]", highlight=False)
    print_resume(run_folder.resume, console)

    before = evaluation.score(trainer, 0, "before training")
    trainer.card_facts = CardFacts(parsed.model.model_name_or_path, run.dataset_name, before)
    if run.eval_every:
        trainer.add_callback(EvaluateEvery(trainer, evaluation, run.eval_every))
    stopwatch, stop, trackers = Stopwatch(), StopOnSignal(), ReportToTrackers()
    for callback in (stopwatch, stop, trackers, RewriteCheckpoints(), WarnOfLittleRoom(folder, console)):
        trainer.add_callback(callback)
    if only_the_end:
        _load_trained(trainer, str(run_folder.checkpoint))
        console.print("All steps are trained already. What the run leaves at its end was missing.", soft_wrap=True)
    else:
        trainer.train(resume_from_checkpoint=run_folder.checkpoint)
    trainer.save_state()
    if stop.signal is not None:
        _print_resume_command(folder, trainer.state.global_step, console)
        return 128 + stop.signal  # as a shell has it, so INTERRUPTED after Ctrl-C
    trainer.save_model(str(folder))
    after = evaluation.score(trainer, trainer.state.global_step, "after training")
    trainer.card_facts = replace(trainer.card_facts, after=after)
    trainer.create_model_card()
    if trainer.accelerator.is_main_process:
        summary = _summary(parsed, trainer, before, after, stopwatch.seconds)
        write_summary(folder, summary)
        print_summary(folder, summary, console)
        if run.html_report:
            report = _write_report(folder, console)
            problems = [] if report is None else trackers.send(report, trainer.args, trainer.state.global_step)
            for problem in problems:
                console.print(problem, highlight=False, markup=False, soft_wrap=True)
    if parsed.training.push_to_hub:  # again, now with the scores and the report
        trainer.push_to_hub()
    return 0


def _load_trained(trainer: GD2POTrainer, checkpoint: str) -> None:
    """Take the policy and the history of metrics from the last checkpoint of a run."""
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        raise ConfigError(
            f"{checkpoint} is at the end of this run: nothing is left to train. It holds the trained policy, sharded, "
            "which only a training step puts together. To train on, raise `max_steps`."
        )
    trainer._load_from_checkpoint(checkpoint)
    trainer.restore_session(checkpoint)
    trainer.state = TrainerState.load_from_json(f"{checkpoint}/{STATE}")


def _make_trainer(parsed: ParsedRun, reward_funcs: list[Any], train_dataset: Any, held_out: Any) -> GD2POTrainer:
    """The trainer, with our progress bar in the place of TRL's."""
    path = setup.model_path(parsed)
    tokenizer = setup.load_tokenizer(path, parsed)
    conversational = not isinstance(train_dataset[0]["prompt"], str)
    if conversational and tokenizer.chat_template is None:
        raise ConfigError(
            f"The prompts of {parsed.run.dataset_name} are messages, and the tokenizer of {path} has no chat template. "
            "Use a chat (instruct) model, or prompts of plain text."
        )
    with in_one_line():
        trainer = GD2POTrainer(
            model=setup.load_model(path, parsed),
            reward_funcs=[*reward_funcs, *(parsed.run.reward_model_name_or_path or [])],
            args=parsed.training,
            train_dataset=train_dataset,
            eval_dataset=held_out if parsed.training.eval_strategy != "no" else None,
            processing_class=tokenizer,
            quantization_config=get_quantization_config(parsed.model),
            peft_config=get_peft_config(parsed.model),
        )
    setup.require_room(train_dataset["prompt"], trainer.model, tokenizer)
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(RewardProgress() if sys.stderr.isatty() else RewardLines())
    if trainer.accelerator.num_processes == 1:  # processes that share a model's weights have to decode in step
        trainer.model.generate = functools.partial(decode, trainer.model)
    return trainer


def _summary(
    parsed: ParsedRun, trainer: GD2POTrainer, before: HeldOutScores | None, after: HeldOutScores | None, seconds: float
) -> dict[str, Any]:
    """What `summary.json` holds and the table at the end shows."""
    return {
        "recipe": parsed.recipe,
        "model": parsed.model.model_name_or_path,
        "dataset": parsed.run.dataset_name,
        "advantage_estimator": parsed.training.advantage_estimator,
        "filtering": parsed.training.filtering,
        "snr_threshold": parsed.training.snr_threshold,
        "seed": parsed.training.seed,
        "steps": trainer.state.global_step,
        "train_seconds": round(seconds, 1),
        "held_out": {"before": _scores(before), "after": _scores(after)},
        "training_means": training_means(trainer.state.log_history),
        "idle_rewards": trainer.idle_rewards(),
    }


def _write_report(folder: Path, console: Console) -> RunReport | None:
    """The diagnosis of the run's rollouts; a run is not lost because its report cannot be written."""
    try:
        from gd2po.diagnosis import write_run_report

        with console.status("Writing the report ..."):
            report = write_run_report(folder)
    except ModuleNotFoundError as error:
        console.print(f"No report: it needs {error.name}: pip install 'gd2po[report]'.", markup=False, soft_wrap=True)
    except (GD2POError, OSError) as error:
        console.print(f"No report: {error}", markup=False, soft_wrap=True)
    else:
        verdict = report.diagnosis.verdict.headline
        console.print(f"\nReport: {report.html}\n  {verdict}", highlight=False, markup=False, soft_wrap=True)
        return report
    return None


def _scores(scores: HeldOutScores | None) -> dict[str, Any] | None:
    return None if scores is None else vars(scores)


def _print_stopped(folder: Path, console: Console) -> None:
    """Say how to go on with a run that ended where it stood."""
    checkpoint = newest_complete(folder)[0]
    if checkpoint is not None:
        _print_resume_command(folder, step_in(checkpoint), console)
        return
    anew = "starts anew" if has_no_step(folder) else "and --overwrite_output_dir start anew"
    console.print(f"\nStopped before the first checkpoint. The same command {anew}.", highlight=False, soft_wrap=True)


def _print_resume_command(folder: Path, step: int, console: Console) -> None:
    """Print a command to paste."""
    resume = command("train", "--config", folder / CONFIG, "--resume_from_checkpoint", folder / f"checkpoint-{step}")
    console.print(
        f"\nStopped after step {step}; everything up to it is saved. To resume:\n\n  {resume}\n",
        soft_wrap=True,
    )
