"""From a log to a replay: every method at every rate of a grid, judged by gold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd2po.core import Setting
from gd2po.core.families import family_labels
from gd2po.core.setting import labelled
from gd2po.diagnosis.analysis import resolve_weights
from gd2po.errors import DataFormatError, InvalidInputError, did_you_mean
from gd2po.logs.reward_log import RewardLog
from gd2po.replay.defaults import LEARNING_RATES, METHODS
from gd2po.replay.estimates import PromptBootstrap
from gd2po.replay.learning import Course, learn, repeats_of
from gd2po.replay.model import AtDistance, GoldNumbers, MethodOnGold, Replay
from gd2po.replay.rollouts import Rollouts, read_rollouts, with_gold
from gd2po.runs.settings import RunSettings
from gd2po.threads import one_thread

DISTANCES = (0.1, 0.3, 1.0)
"""KL divergences in nats; the largest that a group of 8 allows is log 8 = 2.08."""

STEPS = 40


def replay(
    log: RewardLog,
    gold: str | None = None,
    *,
    settings: Sequence[Setting] | Mapping[str, Setting] | None = None,
    reward_weights: Mapping[str, float] | Sequence[float] | None = None,
    reward_families: Mapping[str, str] | None = None,
    learning_rates: Sequence[float] = LEARNING_RATES,
    baseline: str = "gdpo",
    progress: Callable[[str], None] | None = None,
) -> Replay:
    r"""What each method would make of the rollouts of a log, judged by gold.

    Args:
        log: the rollouts. Its rewards, the gold left out, are what the methods learn from.
        gold: the column that judges: a human label, a verifier, a reward that the run did not train on. None: each
            reward in turn is the gold of the others.
        settings: by label; None: those of `METHODS`.
        reward_weights: by name, or one per reward to learn from. None: those of the run if its log or folder says them,
            else all 1.
        reward_families: family by name of the reward; one not named is a family of its own. None: those of the run, or
            none.
        learning_rates: the grid that every method is tried on.
        baseline: label of the setting that the others are compared with.
        progress: told what is going on, now and then.

    Returns:
        A `Replay`: the same for the same log.

    Raises:
        DataFormatError: no such column, no prompt with two rollouts, no label, or a malformed row or file.
        ConfigError: weights or families that make no sense or name an unknown reward.
        InvalidInputError: the gold is learned from, an unknown baseline, a bad rate, weights that are all 0, or one
            reward without a gold.

    Example:
        >>> import tempfile, pathlib
        >>> rows = [f"0,{group},{r},{r + 1},{r > 1}" for group in range(20) for r in range(4)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "log.csv")
        ...     _ = path.write_text("\n".join(["step,group,a,b,verified", *rows]) + "\n")
        ...     log = RewardLog(path)
        ...     result = replay(log, "verified", learning_rates=[3.0])
        >>> result.golds[0].rewards, round(result.golds[0].methods[1].gain.value, 1)
        (['a', 'b'], 0.5)
    """
    named = labelled([Setting.named(label, "methods") for label in METHODS] if settings is None else settings)
    if baseline not in named:
        raise InvalidInputError(
            f"`baseline` must be the label of a setting: got {baseline!r}. {did_you_mean(baseline, named)}"
        )
    if not learning_rates or not all(rate > 0 and np.isfinite(rate) for rate in learning_rates):
        raise InvalidInputError(f"`learning_rates` needs numbers above 0: got {list(learning_rates)}.")
    tell = progress or (lambda text: None)
    was_reward = False
    if gold is not None:
        log, was_reward = with_gold(log, gold)
    elif len(log.layout.reward_columns) < 2:
        raise InvalidInputError(
            f"{log.files.source} has one reward, and a method that learns from it cannot be judged by it. Name a "
            "column that judges with `gold`: a label, or a verifier."
        )
    with one_thread(), torch.inference_mode():  # one thread: the same sums on every machine
        rollouts = read_rollouts(log, lambda seen: tell(f"Read {seen:,} rollouts"))
        asked = _Replayer(
            log, rollouts, named, sorted(learning_rates), baseline, reward_weights, reward_families, gold, tell
        )
        return asked.replay(_notes(log, was_reward, gold))


def _notes(log: RewardLog, was_reward: bool, gold: str | None) -> list[str]:
    notes = log.notes()
    if was_reward:
        notes.append(
            f"{gold} is one of the log's rewards: the logged run was trained on it, so its policy may have used it up "
            "already. In the replay no method learns from it."
        )
    return notes


@dataclass(frozen=True, eq=False)
class _Tried:
    """A method at every rate, on the groups that can show something."""

    rates: list[float]
    kl: list[NDArray[np.float64]]
    """(E,) per rate."""
    gain: list[NDArray[np.float64]]
    """(E, P) per rate: gold above the logged policy's."""

    @property
    def best(self) -> int:
        """The rate with the most gold at the end."""
        return int(np.argmax([gain[-1].mean() for gain in self.gain]))

    def at(self, distance: float) -> tuple[int, NDArray[np.float64]] | None:
        """The rate with the most gold at a distance, and (P,) the gains there; None if no rate gets there."""
        found = [
            (rate, gain)
            for rate, (kl, gains) in enumerate(zip(self.kl, self.gain, strict=True))
            if (gain := _between(kl, gains, distance)) is not None
        ]
        return max(found, key=lambda pair: pair[1].mean(), default=None)


def _between(kl: NDArray[np.float64], gains: NDArray[np.float64], distance: float) -> NDArray[np.float64] | None:
    """(P,) gains where a course first comes to a distance, on the line between two steps."""
    beyond = np.flatnonzero(kl >= distance)
    if not len(beyond):
        return None
    after = int(beyond[0])
    share = (distance - kl[after - 1]) / (kl[after] - kl[after - 1])
    return np.asarray(gains[after - 1] + share * (gains[after] - gains[after - 1]))


class _Replayer:
    """One replay: what all of its golds share."""

    def __init__(
        self,
        log: RewardLog,
        rollouts: Rollouts,
        settings: Mapping[str, Setting],
        rates: list[float],
        baseline: str,
        weights: Mapping[str, float] | Sequence[float] | None,
        families: Mapping[str, str] | None,
        gold: str | None,
        tell: Callable[[str], None],
    ) -> None:
        self.log, self.rollouts, self.settings, self.rates = log, rollouts, settings, rates
        self.baseline, self.gold, self.tell = baseline, gold, tell
        self.names = log.layout.reward_names
        learned = self.names if gold is None else self.names[:-1]
        run = RunSettings.find(log.run_settings, log.files.run_folder, learned)
        known = run.reward_weights if weights is None and run.reward_weights is not None else weights
        self.weights = [1.0] * len(learned) if known is None else resolve_weights(known, learned)
        self.families = run.reward_families if families is None else family_labels(families, learned, "reward_families")
        self.run_notes = list(run.notes)
        if known is None and run.weights_move:
            self.run_notes.append(
                "The reward weights of the run move over its steps; the replay has 1 for each reward."
            )
        if run.reward_conditions is not None:
            self.run_notes.append("The run puts conditions on rewards; the replay takes every reward as it was logged.")

    def replay(self, notes: list[str]) -> Replay:
        last = len(self.names) - 1
        golds = [last] if self.gold is not None else self._tellable()
        if self.gold is None:
            notes = [
                *notes,
                *(
                    f"{name} is not held out: it is known for fewer than two rollouts of every prompt."
                    for column, name in enumerate(self.names)
                    if column not in golds
                ),
            ]
        learned = list(range(len(self.weights)))
        return Replay(
            version=metadata.version("gd2po"),
            source=str(self.log.files.source),
            rollouts=int(self.rollouts.exists.sum()),
            groups=len(self.rollouts.exists),
            prompts=len(np.unique(self.rollouts.prompts)),
            lone_rollouts=self.rollouts.lone,
            group_size=self.rollouts.usual_size,
            steps=STEPS,
            repeats=repeats_of(self.rollouts),
            learning_rates=list(self.rates),
            distances=list(DISTANCES),
            baseline=self.baseline,
            labels=list(self.settings),
            held_out=self.gold is None,
            notes=[*notes, *self.run_notes],
            golds=[self._judged_by(column, [other for other in learned if other != column]) for column in golds],
        )

    def _tellable(self) -> list[int]:
        """The rewards that tell rollouts of a prompt apart; all of them if none does, which is then an error."""
        known = (self.rollouts.rewards.isfinite().sum(1) > 1).any(0)
        return known.nonzero()[:, 0].tolist() or list(range(len(self.names)))

    def _judged_by(self, column: int, learned: list[int]) -> GoldNumbers:
        gold = self.rollouts.rewards[..., column].double()
        if column < len(self.weights) and self.weights[column] < 0:
            gold = -gold  # a penalty, of which less is better
        counts = (gold.isfinite().sum(1) > 1).numpy()
        if not counts.any():
            raise DataFormatError(
                f"`gold`: {self.names[column]!r} is known for fewer than two rollouts of every prompt of "
                f"{self.log.files.source}, so it cannot tell them apart. Label several rollouts of the same prompts."
            )
        tried = {label: self._tried(setting, label, gold, learned, counts) for label, setting in self.settings.items()}
        bootstrap = PromptBootstrap(self.rollouts.prompts[counts])
        known = gold[torch.from_numpy(counts)]
        logged = known.nanmean(1).numpy()[:, None]
        return GoldNumbers(
            gold=self.names[column],
            rewards=[self.names[other] for other in learned],
            reward_weights=[self.weights[other] for other in learned],
            labels=int(known.isfinite().sum()),
            labelled_prompts=bootstrap.num_prompts,
            logged=bootstrap.mean(logged)[0],
            methods=[self._method(label, tried, bootstrap) for label in self.settings],
        )

    def _tried(
        self, setting: Setting, label: str, gold: Tensor, learned: list[int], counts: NDArray[np.bool_]
    ) -> _Tried:
        courses: list[Course] = []
        for rate in self.rates:
            self.tell(f"{label} at {rate:g}")
            courses.append(
                learn(
                    self.rollouts, gold, setting, rate, rewards=learned, steps=STEPS,
                    reward_weights=[self.weights[other] for other in learned], group_size=self.rollouts.usual_size,
                    reward_families=None if self.families is None else [self.families[other] for other in learned],
                )
            )  # fmt: skip
        golds = [course.gold.numpy()[:, counts] for course in courses]
        return _Tried(self.rates, [course.kl.numpy() for course in courses], [gold - gold[0] for gold in golds])

    def _method(self, label: str, tried: Mapping[str, _Tried], bootstrap: PromptBootstrap) -> MethodOnGold:
        own, other = tried[label], tried[self.baseline]
        best = own.best
        end = own.gain[best][-1]
        is_baseline = label == self.baseline
        gain, difference = bootstrap.mean(np.stack([end, end - other.gain[other.best][-1]], 1))
        return MethodOnGold(
            label=label,
            learning_rate=own.rates[best],
            final_by_learning_rate={
                f"{rate:g}": float(gain[-1].mean()) for rate, gain in zip(own.rates, own.gain, strict=True)
            },
            at_edge=len(own.rates) > 1 and best in (0, len(own.rates) - 1),
            gain=gain,
            difference=None if is_baseline else difference,
            kl=float(own.kl[best][-1]),
            at_distance={
                f"{distance:g}": _at_distance(own, None if is_baseline else other, distance, bootstrap)
                for distance in DISTANCES
            },
            kl_curve=own.kl[best].tolist(),
            gain_curve=bootstrap.mean(own.gain[best].T),
        )


def _at_distance(own: _Tried, other: _Tried | None, distance: float, bootstrap: PromptBootstrap) -> AtDistance | None:
    here = own.at(distance)
    if here is None:
        return None
    there = None if other is None else other.at(distance)
    gain = bootstrap.mean(here[1][:, None])[0]
    difference = None if there is None else bootstrap.mean((here[1] - there[1])[:, None])[0]
    return AtDistance(own.rates[here[0]], gain, difference)
