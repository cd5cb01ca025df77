"""The report of a run in the trackers that the run reports to: W&B, trackio, TensorBoard."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gd2po.errors import MissingDependencyError

if TYPE_CHECKING:
    from gd2po.diagnosis.run_report import RunReport

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise MissingDependencyError(f"A report in trackers needs TRL: pip install 'gd2po[trl]' ({error}).") from error

NAME: Final = "report"
"""What trackers know the report by."""


class ReportToTrackers(TrainerCallback):  # type: ignore[misc]
    """Puts the report beside the curves of its run, once training is over.

    W&B and trackio get the page itself; TensorBoard, which shows no pages, the verdict and where the page lies. It is a
    callback to see, while it is open, which run is trackio's: transformers ends that run with the training.

    Example:
        ```python
        tracked = ReportToTrackers()
        trainer.add_callback(tracked)
        trainer.train()
        for problem in tracked.send(write_run_report(trainer.args.output_dir), trainer.args):
            print(problem)
        ```
    """

    def __init__(self) -> None:
        self._trackio_run: str | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the run of trackio, which makes up a name where the run has none."""
        if state.is_world_process_zero and "trackio" in args.report_to:
            run = import_module("trackio").context_vars.current_run.get()
            self._trackio_run = None if run is None else run.name

    def send(self, report: RunReport, args: Any, step: int) -> list[str]:
        """Send the report to each tracker of a run. One that fails costs the run nothing but that.

        Args:
            report: with its page.
            args: of the trainer.
            step: of training that the report is about.

        Returns:
            What went wrong, a sentence per tracker.
        """
        problems = []
        for tracker, send in self._known.items():
            if tracker in args.report_to:
                try:
                    send(report, args, step)
                except Exception as error:  # noqa: BLE001 (theirs may be anything, and the run is done)
                    reason = next(iter(str(error).splitlines()), type(error).__name__)
                    problems.append(f"{tracker} did not take the report: {reason}")
        return problems

    @property
    def _known(self) -> dict[str, Callable[[RunReport, Any, int], None]]:
        return {"wandb": _to_wandb, "trackio": self._to_trackio, "tensorboard": _to_tensorboard}

    def _to_trackio(self, report: RunReport, args: Any, step: int) -> None:
        trackio = import_module("trackio")
        if _is_published(args) and not (args.hub_private_repo or getattr(args, "hub_rollouts", False)):
            raise RuntimeError(
                "it goes to a Space that others may read, and shows prompts and completions. Set `hub_private_repo`, "
                "or `hub_rollouts` to send it all the same."
            )
        name = self._trackio_run or args.run_name
        with contextlib.redirect_stdout(io.StringIO()):  # it says that it has begun and ended once more
            run = trackio.init(
                project=args.project,
                name=name,
                space_id=args.trackio_space_id,
                bucket_id=args.trackio_bucket_id,
                private=args.hub_private_repo,
                resume="must",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )
            run.config.clear()  # else the settings of the run give way to these few
            trackio.log({NAME: trackio.Html(report.html), "train/global_step": step})
            trackio.finish()


def _is_published(args: Any) -> bool:
    """Whether trackio's store goes to the hub: to a Space at once, or with a push of the policy."""
    space = args.trackio_space_id or os.environ.get("TRACKIO_SPACE_ID")
    return bool(space) or (args.push_to_hub and args.trackio_static_space_id is not False)


def _to_wandb(report: RunReport, args: Any, step: int) -> None:
    wandb = import_module("wandb")
    if wandb.run is None:
        raise RuntimeError("its run is no longer open")
    page = wandb.Html(str(report.html), inject=False)
    wandb.run.log({NAME: page, "train/global_step": step})
    wandb.run.summary["verdict"] = report.diagnosis.verdict.headline


def _to_tensorboard(report: RunReport, args: Any, step: int) -> None:
    folder = os.environ.get("TENSORBOARD_LOGGING_DIR") or _newest_folder(Path(args.output_dir, "runs"))
    if folder is None:
        raise RuntimeError(f"{args.output_dir}/runs holds none of its folders")
    with import_module("torch.utils.tensorboard").SummaryWriter(str(Path(folder).expanduser())) as writer:
        writer.add_text(NAME, f"{report.diagnosis.verdict.headline}\n\nThe page: `{report.html}`", step)


def _newest_folder(parent: Path) -> Path | None:
    """Where transformers has TensorBoard write, which names a folder by the time of its run."""
    folders = [path for path in parent.glob("*") if path.is_dir()]
    return max(folders, key=lambda path: path.stat().st_mtime, default=None)
