"""The diagnosis of a run while it runs, for users of plain `GRPOTrainer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gd2po.core import Setting
from gd2po.errors import ConfigError, GD2POError, InvalidInputError, MissingDependencyError

try:
    from accelerate.logging import get_logger
    from transformers import TrainerCallback

    from gd2po.integrations.trl.tracked_report import ReportToTrackers
except ImportError as error:
    raise MissingDependencyError(f"DiagnosisCallback needs TRL: pip install 'gd2po[trl,report]' ({error}).") from error

if TYPE_CHECKING:
    from gd2po.diagnosis.run_report import RunReport

logger = get_logger(__name__)


class DiagnosisCallback(TrainerCallback):  # type: ignore[misc]
    """Writes report.html and report.json into the output folder every n steps and at the end of training.

    The last report goes to the trackers of the run too: W&B, trackio and TensorBoard, as `ReportToTrackers` says.
    The report is made from the rollouts that the trainer logs: the completions tables of `GRPOTrainer` with
    `log_completions=True`, or the rollouts of `GD2POTrainer` with `log_rollouts=True`. A log that cannot be diagnosed
    gives a warning and never stops the training.

    Args:
        every_n_steps: steps between two reports; 0 for the one at the end only. Each reads the whole log again.
        reward_weights: of the run, by name or one per reward. None: as its log or folder says, else all 1.
        reward_families: of the run, by name of the reward. None: as its log or folder says.
        setting: the run's own method and options. None: as its log or folder says.

    Raises:
        InvalidInputError: a negative number of steps.
        ConfigError: when training begins, if the trainer logs no rollouts.
        MissingDependencyError: when training begins, if `gd2po[report]` is not installed.

    Example:
        >>> DiagnosisCallback(every_n_steps=50).every_n_steps
        50
    """

    def __init__(
        self,
        every_n_steps: int = 50,
        *,
        reward_weights: Mapping[str, float] | Sequence[float] | None = None,
        reward_families: Mapping[str, str] | None = None,
        setting: Setting | None = None,
    ) -> None:
        if every_n_steps < 0:
            raise InvalidInputError(f"`every_n_steps` must be at least 0: got {every_n_steps}.")
        self.every_n_steps, self.setting = every_n_steps, setting
        self.reward_weights, self.reward_families = reward_weights, reward_families
        self._trackers = ReportToTrackers()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Fail before the run rather than after it."""
        try:
            import_module("gd2po.diagnosis")
            import_module("plotly.offline")
        except ModuleNotFoundError as error:
            missing = f"DiagnosisCallback needs {error.name}: pip install 'gd2po[report]'."
            raise MissingDependencyError(missing) from error
        if not (getattr(args, "log_completions", False) or getattr(args, "log_rollouts", False)):
            raise ConfigError(
                "DiagnosisCallback reads the rollouts that the trainer logs, and this one logs none: set "
                "log_completions=True (log_rollouts=True for GD2POTrainer)."
            )
        self._trackers.on_train_begin(args, state, control, **kwargs)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A report of the steps so far. TRL writes the table of a step after the step's last callback, hence here."""
        if self.every_n_steps and state.global_step and state.global_step % self.every_n_steps == 0:
            self._write(args, state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The report of the whole run."""
        report = self._write(args, state)
        if report is not None:
            for problem in self._trackers.send(report, args, state.global_step):
                logger.warning(problem)

    def _write(self, args: Any, state: Any) -> RunReport | None:
        if not state.is_world_process_zero:
            return None
        from gd2po.diagnosis import write_run_report
        from gd2po.logs.dialects import log_folders

        folder = Path(args.output_dir)
        if not any(any((folder / name).glob("*.parquet")) for name in log_folders()):
            logger.warning(f"No diagnosis at step {state.global_step}: {folder} holds no logged rollouts yet.")
            return None
        try:
            report = write_run_report(
                folder, self.reward_weights, reward_families=self.reward_families, setting=self.setting
            )
        except (GD2POError, OSError) as error:
            logger.warning(f"No diagnosis at step {state.global_step}: {error}")
            return None
        logger.info(f"Step {state.global_step}: {report.diagnosis.verdict.headline} See {report.html}")
        return report
