"""From a reward log to a diagnosis: one pass over the numbers, then a look at the texts of the worst conflicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata

import numpy as np
import torch

from gd2po.core import Setting
from gd2po.core.tolerances import SHARE_ROUNDING, SNR_EPS
from gd2po.diagnosis.model import Diagnosis, MethodSample, WeightsOrigin
from gd2po.diagnosis.numbers.batch import Batch
from gd2po.diagnosis.numbers.estimates import Estimates
from gd2po.diagnosis.numbers.methods import evaluate_settings
from gd2po.diagnosis.numbers.sample import StepSample
from gd2po.diagnosis.numbers.sums import THRESHOLDS, Sums, threshold_index
from gd2po.diagnosis.sections import (
    course_section,
    explorer_section,
    overall_section,
    pairs_section,
    prompts_section,
    rewards_section,
    run_threshold,
    source_section,
)
from gd2po.diagnosis.verdict.conflicts import judge, pair_kinds
from gd2po.diagnosis.verdict.evidence import Evidence
from gd2po.errors import DataFormatError, InvalidInputError
from gd2po.logs.grouping import StepReturnsError
from gd2po.logs.reward_log import RewardLog
from gd2po.runs.settings import GIVEN, RunSettings


def diagnose(
    log: RewardLog,
    reward_weights: Mapping[str, float] | Sequence[float] | None = None,
    *,
    setting: Setting | None = None,
    progress: Callable[[int], None] | None = None,
) -> Diagnosis:
    r"""The diagnosis of a log.

    Args:
        log: the rollouts.
        reward_weights: by name, or one per reward in the log's order. None: those of the run if its log or folder says
            them, else all 1.
        setting: the run's own method and options, to mark and to look at the rewards by. None: as the run's log or
            folder says.
        progress: told how many rollouts have been read, now and then.

    Returns:
        A `Diagnosis`: the same for the same log, whatever the machine.

    Raises:
        DataFormatError: a malformed row or file.
        InvalidInputError: weights that do not go with the rewards, or none but 0.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "log.csv")
        ...     _ = path.write_text("step,group,correct,brief\n0,a,1,0\n0,a,0,1\n0,a,1,1\n0,a,0,0\n")
        ...     diagnose(RewardLog(path)).overall.conflict_rate.value
        0.5
    """
    names = log.layout.reward_names
    settings = _run_settings(log, setting)
    run = settings.setting
    weights, weights_origin = _weights(reward_weights, settings, names)
    try:
        sums, sample = _add_up(log, weights, run, progress, in_order=True)
    except StepReturnsError:
        sums, sample = _add_up(log, weights, run, progress, in_order=False)

    estimates = Estimates.from_blocks(sums.blocks)
    steps, chosen = sums.steps(), sample.steps()
    with _one_thread():
        evaluated = evaluate_settings(chosen, names, weights, run)
    notes = [*settings.notes, *_assumptions(run, weights_origin), *evaluated.notes]
    source = source_section(log, sums, steps, settings=settings, weights_origin=weights_origin, notes=notes)
    kinds = pair_kinds(estimates)
    rewards = rewards_section(names, weights, sums, steps, estimates)
    overall = overall_section(estimates)
    explorer = explorer_section(names, weights, sums, estimates, run)
    own = next((method for method in evaluated.numbers if method.is_run), None)
    return Diagnosis(
        source=source,
        verdict=judge(Evidence(source, rewards, overall, explorer, estimates, kinds, own)),
        rewards=rewards,
        pairs=pairs_section(names, kinds, estimates),
        overall=overall,
        methods=evaluated.numbers,
        method_sample=MethodSample(len(chosen), sum(len(step.rewards) for step in chosen)),
        explorer=explorer,
        course=course_section(names, steps),
        prompts=prompts_section(log, sums),
        version=metadata.version("gd2po"),
    )


def _run_settings(log: RewardLog, given: Setting | None) -> RunSettings:
    """The settings of the run; a setting that the caller gives goes before what the log and its folder say."""
    found = RunSettings.find(log.run_settings, log.files.run_folder, log.layout.reward_names)
    return found if given is None else replace(found, setting=given, origin=GIVEN, notes=())


def _weights(
    given: Mapping[str, float] | Sequence[float] | None, settings: RunSettings, names: Sequence[str]
) -> tuple[list[float], WeightsOrigin]:
    if given is not None:
        return resolve_weights(given, names), "given"
    if settings.reward_weights is not None:
        return settings.reward_weights, "run"
    return [1.0] * len(names), "assumed"


def _assumptions(run: Setting | None, weights_origin: WeightsOrigin) -> Iterator[str]:
    """What a reader has to know of how the numbers were made, in sentences."""
    if weights_origin == "assumed":
        yield (
            "Reward weights of 1 assumed: neither the log nor its run folder says how the rewards were weighed. Give "
            "`reward_weights` if they were others."
        )
    if run is not None and run.resolved.get("scale_rewards") is False:
        yield (
            "The run does not divide rewards by the standard deviation of their group, and neither do the signals, "
            "pairs and thresholds here."
        )
    threshold = run_threshold(run)
    if threshold is not None and abs(threshold - THRESHOLDS[threshold_index(threshold)]) > SHARE_ROUNDING:
        yield f"The run's threshold is {threshold:g}; the explorer marks the nearest that it has."


def resolve_weights(weights: Mapping[str, float] | Sequence[float], names: Sequence[str]) -> list[float]:
    """One weight per reward.

    Raises:
        InvalidInputError: an unknown reward, the wrong number of weights, or none but 0.
    """
    if isinstance(weights, Mapping):
        for name in weights:
            if name not in names:
                raise InvalidInputError(
                    f"`reward_weights` names {name!r}, which is not among the rewards: {', '.join(names)}."
                )
        resolved = [float(weights.get(name, 1.0)) for name in names]
    else:
        resolved = [float(weight) for weight in weights]
        if len(resolved) != len(names):
            raise InvalidInputError(
                f"`reward_weights` needs one weight per reward: expected {len(names)} ({', '.join(names)}), got "
                f"{len(resolved)}."
            )
    if not all(np.isfinite(resolved)) or not any(resolved):
        raise InvalidInputError(f"`reward_weights` needs finite numbers that are not all 0: got {resolved}.")
    return resolved


def _add_up(
    log: RewardLog,
    weights: Sequence[float],
    run: Setting | None,
    progress: Callable[[int], None] | None,
    *,
    in_order: bool,
) -> tuple[Sums, StepSample]:
    """One pass over the log: its sums, and the steps to evaluate settings on."""
    sums, sample = Sums(len(weights)), StepSample(in_order=in_order)
    options = {} if run is None else run.resolved
    with _one_thread():
        for chunk in log.chunks(in_order=in_order, progress=progress):
            sums.add(
                Batch.from_chunk(
                    chunk,
                    weights,
                    scale_rewards=options.get("scale_rewards", True),
                    snr_eps=options.get("snr_eps", SNR_EPS),
                )
            )
            sample.add(chunk)
    if not sums.blocks.num_groups:
        first, last = log.step_range
        within = "" if first is None and last is None else f" with steps from {first} to {last} (`step_range`)"
        raise DataFormatError(f"{log.files.source} holds no rollouts{within}.")
    return sums, sample


@contextmanager
def _one_thread() -> Iterator[None]:
    """Chunks are small: with more threads torch mostly waits for them, the more so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
