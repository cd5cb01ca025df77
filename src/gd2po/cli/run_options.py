"""The options that are fields of `gd2po train` too, in the words in which its help begins to speak of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gd2po.runs.spellings import KWARGS_HELP

CONFIG_HELP = "A packaged recipe or a YAML file."
EVAL_PROMPTS_HELP = "Held-out prompts to score."


def option(name: str, text: str, default: bool | str = False) -> Any:
    """An option under the name of its field.

    Args:
        name: of the field.
        text: of the help.
        default: shown in the help; False shows none.
    """
    return typer.Option(f"--{name}", help=text, show_default=default)


ModelNameOrPath = Annotated[
    str | None, option("model_name_or_path", "Policy: a folder, a hub id, or builtin:toolcalls.")
]
ModelRevision = Annotated[str | None, option("model_revision", "Branch, tag or commit of a hub id.")]
GgufFile = Annotated[
    str | None, option("gguf_file", "File inside the model's folder or repository, for weights in GGUF.")
]
DatasetConfig = Annotated[str | None, option("dataset_config", "Configuration of a hub dataset.")]
DatasetTrainSplit = Annotated[str | None, option("dataset_train_split", "Split to train on.", "train")]
RewardKwargs = Annotated[list[str] | None, option("reward_kwargs", f"{KWARGS_HELP}.")]


def dataset_name(text: str) -> Any:
    """The prompts, of which every command says more."""
    return option("dataset_name", f"Prompts: {text}.")


def max_completion_length(default: str) -> Any:
    """Each command has a default of its own."""
    return option("max_completion_length", "Longest completion, in tokens.", default)


def output_dir(default: str) -> Any:
    """Likewise."""
    return option("output_dir", "Folder of what is written.", default)
