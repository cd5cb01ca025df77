"""`gd2po evaluate`: how a policy does on API-Bank, on the built-in task, and under reward models."""

import typer

from gd2po.cli.command import Command
from gd2po.cli.evaluate import api_bank, safety, toolcalls

evaluate = typer.Typer(
    no_args_is_help=True,
    help="Evaluate a policy. Outputs are saved as they come: the same command resumes an evaluation that was stopped.",
)
evaluate.command("api-bank", cls=Command)(api_bank.api_bank)
evaluate.command("toolcalls", cls=Command)(toolcalls.toolcalls)
evaluate.command("safety", cls=Command)(safety.safety)
