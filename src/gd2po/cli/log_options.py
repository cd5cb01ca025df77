"""The options by which commands on logs say what is what in a log."""

from __future__ import annotations

from typing import Annotated

import typer

from gd2po.runs.spellings import CONDITIONS_HELP, FAMILIES_HELP, WEIGHTS_HELP

Log = Annotated[
    str,
    typer.Argument(
        help="A file, a folder (of a run, too), a quoted glob, or a dataset on the hub: owner/name.", show_default=False
    ),
]
Rewards = Annotated[str | None, typer.Option(help="Columns of the rewards: a,b,c.", show_default=False)]
RewardWeights = Annotated[
    list[str] | None, typer.Option("--reward_weights", help=f"{WEIGHTS_HELP}.", show_default=False)
]
RewardFamilies = Annotated[
    list[str] | None, typer.Option("--reward_families", help=f"{FAMILIES_HELP}.", show_default=False)
]
RewardConditions = Annotated[
    str | None, typer.Option("--reward_conditions", help=f"{CONDITIONS_HELP}.", show_default=False)
]
Group = Annotated[
    str | None, typer.Option(help="Column that is equal for the rollouts of one prompt.", show_default=False)
]
GroupSize = Annotated[
    int | None,
    typer.Option(
        "--group_size", help="Rollouts per prompt, in consecutive rows, where no column tells.", show_default=False
    ),
]
Step = Annotated[str | None, typer.Option(help="Column of the training step.", show_default=False)]
StepRange = Annotated[
    str | None, typer.Option("--step_range", help="Steps to look at: 100:200, 100: or :200.", show_default=False)
]
Prompt = Annotated[str | None, typer.Option(help="Column of the prompt.", show_default=False)]
Completion = Annotated[str | None, typer.Option(help="Column of the completion.", show_default=False)]
Length = Annotated[str | None, typer.Option(help="Column of the completion's tokens.", show_default=False)]
SkipBadRows = Annotated[bool, typer.Option("--skip_bad_rows", help="Count malformed rows instead of stopping.")]
Html = Annotated[str | None, typer.Option(help="Write the page here.", show_default=False)]
Json = Annotated[
    str | None, typer.Option(help="Write the numbers here; - for the standard output.", show_default=False)
]
