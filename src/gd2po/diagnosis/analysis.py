"""From a reward log to a diagnosis: one pass over the numbers, then a look at the texts of the worst conflicts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any

import torch

from gd2po.core import Setting
from gd2po.core.families import family_labels
from gd2po.core.tolerances import SHARE_ROUNDING, SNR_EPS
from gd2po.diagnosis.held_out import held_out_section
from gd2po.diagnosis.model import (
    ConditionNumbers,
    ConditionOrigin,
    Diagnosis,
    MethodSample,
    RewardNumbers,
    WeightsOrigin,
)
from gd2po.diagnosis.numbers.batch import Batch
from gd2po.diagnosis.numbers.conditions import evaluate_conditions, natural_conditions
from gd2po.diagnosis.numbers.estimates import Estimates
from gd2po.diagnosis.numbers.families import FoundFamily, find_families
from gd2po.diagnosis.numbers.family_sample import FamilySample
from gd2po.diagnosis.numbers.methods import evaluate_settings
from gd2po.diagnosis.numbers.sample import Step, StepSample
from gd2po.diagnosis.numbers.sums import THRESHOLDS, Sums, pairs_of, threshold_index
from gd2po.diagnosis.numbers.weights import StepWeights
from gd2po.diagnosis.sections import (
    course_section,
    explorer_section,
    overall_section,
    pairs_section,
    rewards_section,
    run_threshold,
    source_section,
)
from gd2po.diagnosis.shown import families_section, prompts_section, shown_texts
from gd2po.diagnosis.verdict.action import Origin, next_action
from gd2po.diagnosis.verdict.conflicts import judge, pair_kinds
from gd2po.diagnosis.verdict.evidence import Evidence
from gd2po.errors import DataFormatError, InvalidInputError
from gd2po.logs.grouping import StepReturnsError, split_chunk
from gd2po.logs.reward_log import RewardLog
from gd2po.report.wording import counted
from gd2po.runs.reward_conditions import RewardConditions
from gd2po.runs.reward_weights import RewardWeights
from gd2po.runs.settings import GIVEN, RunSettings
from gd2po.threads import one_thread

MOST_PAIR_NUMBERS = 2**24
"""Numbers of one term of all pairs that are held at once: with very many rewards a chunk is looked at in parts."""


def diagnose(
    log: RewardLog,
    reward_weights: Mapping[str, float] | Sequence[float] | None = None,
    *,
    reward_families: Mapping[str, str] | None = None,
    setting: Setting | None = None,
    reward_conditions: Any = None,
    progress: Callable[[int], None] | None = None,
) -> Diagnosis:
    r"""The diagnosis of a log.

    Args:
        log: the rollouts.
        reward_weights: by name, or one per reward in the log's order. None: those of the run if its log or folder says
            them, else all 1.
        reward_families: family by name of the reward; one not named is a family of its own. None: as the run's log or
            folder says.
        setting: the run's own method and options, to mark and to look at the rewards by. None: as the run's log or
            folder says.
        reward_conditions: what to try, as `GD2POConfig` takes them: the report then says what they would do. Those
            that the run was made with are known from its log.
        progress: told how many rollouts have been read, now and then.

    Returns:
        A `Diagnosis`: the same for the same log, whatever the machine.

    Raises:
        DataFormatError: a malformed row or file.
        InvalidInputError: weights that move over the steps, or none but 0.
        ConfigError: weights, families or conditions that make no sense or do not go with the rewards.

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
    if reward_families is not None:
        settings = replace(settings, reward_families=family_labels(reward_families, names, "reward_families"))
    run = settings.setting
    asked = _asked_conditions(reward_conditions, names)
    weights, weights_origin = _weights(reward_weights, settings, log)
    try:
        sums, sample = _add_up(log, weights, settings, progress, in_order=True)
    except StepReturnsError:
        sums, sample = _add_up(log, weights, settings, progress, in_order=False)

    estimates = Estimates.from_blocks(sums.blocks)
    steps = sums.steps()
    as_given = [_with_weights(step, weights) for step in sample.steps()]
    rewards = rewards_section(names, weights, sums, steps, estimates)
    seen = _conditioned(as_given, settings, names)
    with one_thread():
        evaluated = evaluate_settings(seen, names, weights.usual, run, settings.reward_families)
        found = _families(seen, names, rewards, settings)
        conditions = _conditions(as_given, names, weights.usual, settings, asked, rewards)
    held_out, unread = held_out_section(log.files.run_folder)
    assumptions = _assumptions(settings, weights_origin, weights.without(steps["step"]))
    notes = [*settings.notes, *assumptions, *evaluated.notes, *unread]
    source = source_section(log, sums, steps, settings=settings, weights_origin=weights_origin, notes=notes)
    kinds = pair_kinds(estimates)
    overall = overall_section(estimates)
    explorer = explorer_section(rewards, sums, estimates, settings)
    texts = shown_texts(log, sums, *found)
    families = families_section(log, names, *found, [k for k, one in enumerate(rewards) if one.counts], texts)
    own = next((method for method in evaluated.numbers if method.is_run), None)
    evidence = Evidence(source, rewards, overall, explorer, estimates, kinds, families, own, run)
    verdict = judge(evidence)
    return Diagnosis(
        source=source,
        verdict=verdict,
        action=next_action(verdict, evidence, Origin.of(settings, log.files.run_folder)),
        held_out=held_out,
        rewards=rewards,
        pairs=pairs_section(names, kinds, estimates),
        families=families,
        overall=overall,
        conditions=conditions,
        methods=evaluated.numbers,
        method_sample=MethodSample(len(as_given), sum(len(step.rewards) for step in as_given)),
        explorer=explorer,
        course=course_section(names, steps),
        prompts=prompts_section(log, sums, texts),
        version=metadata.version("gd2po"),
    )


def _run_settings(log: RewardLog, given: Setting | None) -> RunSettings:
    """The settings of the run; a setting that the caller gives goes before what the log and its folder say."""
    found = RunSettings.find(log.run_settings, log.files.run_folder, log.layout.reward_names)
    return found if given is None else replace(found, setting=given, origin=GIVEN, notes=())


def _weights(
    given: Mapping[str, float] | Sequence[float] | None, settings: RunSettings, log: RewardLog
) -> tuple[StepWeights, WeightsOrigin]:
    names = log.layout.reward_names
    if given is not None:
        return StepWeights(tuple(resolve_weights(given, names))), "given"
    by_step = log.step_weights
    usual = (1.0,) * len(names) if settings.reward_weights is None else tuple(settings.reward_weights)
    known = bool(by_step) or settings.reward_weights is not None
    return StepWeights(usual, by_step), "run" if known else "assumed"


def _with_weights(step: Step, weights: StepWeights) -> Step:
    if not weights.by_step:
        return step
    return replace(step, weights=torch.tensor(weights.at(step.number), dtype=torch.float64))


def _conditioned(steps: Sequence[Step], settings: RunSettings, names: Sequence[str]) -> list[Step]:
    """The steps with the rewards as the run's own method saw them."""
    conditions = settings.reward_conditions
    if conditions is None:
        return list(steps)
    return [replace(step, rewards=conditions.apply(step.rewards, names)) for step in steps]


def _families(
    steps: Sequence[Step], names: Sequence[str], rewards: Sequence[RewardNumbers], settings: RunSettings
) -> tuple[FamilySample, list[FoundFamily]]:
    sample = FamilySample.of(steps, [reward.weight for reward in rewards])
    active = [k for k, reward in enumerate(rewards) if reward.counts and reward.applies > 0]
    return sample, find_families(sample, names, active, settings.reward_families)


def _asked_conditions(given: Any, names: Sequence[str]) -> RewardConditions | None:
    if not given:
        return None
    asked = RewardConditions.of(given)
    asked.check_names(names)
    return asked


def _conditions(
    steps: Sequence[Step],
    names: Sequence[str],
    weights: Sequence[float],
    settings: RunSettings,
    asked: RewardConditions | None,
    rewards: Sequence[RewardNumbers],
) -> list[ConditionNumbers]:
    """What conditions would do: those of the run, those that were asked for, or else some that the rewards suggest."""
    own = settings.reward_conditions
    candidates: list[tuple[ConditionOrigin, RewardConditions | None]] = []
    candidates += [("run", own)] if own is not None else []
    candidates += [("given", asked)] if asked is not None else []
    candidates = candidates or [("tried", conditions) for conditions in natural_conditions(rewards)]
    return evaluate_conditions(steps, names, weights, [("none", None), *candidates]) if candidates else []


def _assumptions(settings: RunSettings, weights_origin: WeightsOrigin, steps_without: int) -> Iterator[str]:
    """What a reader has to know of how the numbers were made, in sentences."""
    run, conditions = settings.setting, settings.reward_conditions
    if conditions is not None:
        words = "; ".join(condition.words for condition in conditions.conditions)
        yield (
            f"The run conditioned its rewards: {words}. Columns of rewards are raw, as the functions gave them, and so "
            "are means, ranges, saturation and the scores of single rollouts here; constant groups, signals, pairs, "
            "thresholds and methods are of the conditioned rewards."
        )
    if steps_without:
        yield (
            f"{counted(steps_without, 'step does', 'steps do')} not say which weights the rewards had, although others "
            "do: the weights of the run where it has any for all steps, else 1."
        )
    if settings.weights_move and weights_origin == "assumed":
        yield "The weights of the rewards moved over the steps, and the log does not say how: weights of 1 assumed."
    elif weights_origin == "assumed":
        yield (
            "Reward weights of 1 assumed: neither the log nor its run folder says how the rewards were weighted. Give "
            "`reward_weights` if they differed."
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
        ConfigError: an unknown reward, the wrong number of weights, or something else than weights.
        InvalidInputError: weights that move over the steps, or none but 0.
    """
    found = RewardWeights.of(weights).in_order(names)
    if found.move:
        raise InvalidInputError(f"`reward_weights` needs numbers for a log, whose steps are past: got {found.plain()}.")
    resolved = found.at(1)
    if not any(resolved):
        raise InvalidInputError(f"`reward_weights` needs numbers that are not all 0: got {resolved}.")
    return resolved


def _add_up(
    log: RewardLog,
    weights: StepWeights,
    settings: RunSettings,
    progress: Callable[[int], None] | None,
    *,
    in_order: bool,
) -> tuple[Sums, StepSample]:
    """One pass over the log: its sums, and the steps to evaluate settings on."""
    sums, sample = Sums(len(weights.usual)), StepSample()
    options = {} if settings.setting is None else settings.setting.resolved
    conditions, names = settings.reward_conditions, log.layout.reward_names
    condition = None if conditions is None else lambda rewards: conditions.apply(rewards, names)
    with one_thread():
        for chunk in log.chunks(in_order=in_order, progress=progress):
            parts = split_chunk(chunk, max(1, MOST_PAIR_NUMBERS // max(1, len(pairs_of(len(names))))))
            for piece, of_piece in itertools.chain.from_iterable(map(weights.pieces, parts)):
                sums.add(
                    Batch.from_chunk(
                        piece,
                        of_piece,
                        scale_rewards=options.get("scale_rewards", True),
                        snr_eps=options.get("snr_eps", SNR_EPS),
                        condition=condition,
                    )
                )
            sample.add(chunk)
    if not sums.blocks.num_groups:
        first, last = log.step_range
        within = "" if first is None and last is None else f" with steps from {first} to {last} (`step_range`)"
        raise DataFormatError(f"{log.files.source} holds no rollouts{within}.")
    return sums, sample
