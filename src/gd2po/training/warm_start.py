"""`gd2po warm-start`: supervised training on demonstrations with TRL's SFTTrainer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from trl import SFTTrainer, get_peft_config, get_quantization_config

from gd2po.data.demonstrations import load_demonstrations
from gd2po.errors import ConfigError
from gd2po.report.commands import command
from gd2po.runs.folder import open_run_folder, write_config
from gd2po.training import setup
from gd2po.training.arguments import ParsedRun, parse_warm_start
from gd2po.training.callbacks import RewriteCheckpoints
from gd2po.training.disk import WarnOfLittleRoom, naming_what_is_needed
from gd2po.training.refusals import in_one_line
from gd2po.training.summary import print_resume


def warm_start_command(argv: Sequence[str]) -> int:
    """Run `gd2po warm-start` with the given command line; the exit status."""
    parsed = parse_warm_start(argv, output_dir=f"runs/{{recipe}}-{time.strftime('%Y%m%d-%H%M%S')}")
    run, training = parsed.run, parsed.training
    if run.dataset_name is None:
        raise ConfigError("`dataset_name` is missing: name the demonstrations, such as rlla/sft.json.")
    as_run = cast(ParsedRun, parsed)  # the fields that loading a model reads are the same
    path = setup.model_path(as_run)
    demonstrations = load_demonstrations(
        run.dataset_name, run.dataset_train_split, config=run.dataset_config, size=run.dataset_size
    )
    with open_run_folder(training.output_dir, training.resume_from_checkpoint) as folder:
        tokenizer = setup.load_tokenizer(path, as_run)
        _require_chat_template(tokenizer, demonstrations, path)
        with in_one_line():
            trainer = SFTTrainer(
                model=setup.load_model(path, as_run),
                args=training,
                train_dataset=demonstrations,
                processing_class=tokenizer,
                quantization_config=get_quantization_config(parsed.model),
                peft_config=get_peft_config(parsed.model),
                callbacks=[RewriteCheckpoints()],
            )
        console = Console(quiet=not trainer.accelerator.is_main_process)
        trainer.add_callback(WarnOfLittleRoom(folder.path, console))
        print_resume(folder.resume, console)
        with naming_what_is_needed(folder.path, trainer):
            if trainer.accelerator.is_main_process:
                write_config(folder.path, parsed.resolved)
            trainer.train(resume_from_checkpoint=folder.checkpoint)
            trainer.save_state()
            trainer.save_model(str(folder.path))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if losses:
        console.print(f"Loss {losses[0]:.3f} -> {losses[-1]:.3f} on {len(demonstrations)} demonstrations.")
    console.print(f"Run folder: {folder.path}", highlight=False, soft_wrap=True, markup=False)
    _print_next_command(folder.path, console)
    return 0


def _print_next_command(folder: Path, console: Console) -> None:
    """Print a command to paste."""
    following = command("train", "--config", "tool-calling", "--model_name_or_path", folder)
    console.print(f"Next:\n  {following}", highlight=False, soft_wrap=True, markup=False)


def _require_chat_template(tokenizer: Any, demonstrations: Any, path: str) -> None:
    """Raise if the demonstrations are conversations and the tokenizer knows no form for them."""
    first = demonstrations[0]
    if tokenizer.chat_template is None and not isinstance(first.get("prompt", first.get("messages")), str):
        raise ConfigError(
            f"The demonstrations are messages, and the tokenizer of {path} has no chat template. Use a chat (instruct) "
            "model, or demonstrations of plain text."
        )
