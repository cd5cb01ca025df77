"""The one thing to do next: what follows from the verdict, with the command that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gd2po.core import Setting
from gd2po.diagnosis.model import Action, Finding, Verdict, VerdictKind
from gd2po.diagnosis.numbers.sums import pairs_of
from gd2po.diagnosis.verdict.evidence import Evidence
from gd2po.diagnosis.verdict.families import ACTING_RULES, family_finding
from gd2po.errors import DataFormatError
from gd2po.report.commands import check_rewards_command, configuration_lines, train_again_command
from gd2po.report.wording import join, percent
from gd2po.runs.folder import CONFIG, read_config
from gd2po.runs.settings import RunSettings

_MAY_BE_ONE = ("suspected_family", "uneven_agreement")
"""Rules under which only a reader can say whether rewards measure the same thing."""

_REWARDS = ("reward_funcs", "reward_model_name_or_path")
"""Fields of a run that name its rewards, in their order."""

_SUM = "gdpo"

_NOTHING: dict[VerdictKind, str] = {
    "no_conflict": "The rewards hardly conflict, so the methods differ little on them. Choose on other grounds.",
    "noise": "The rewards agree, and light errors average out in the weighted sum: a filter has nothing to gain.",
    "unclear": "These conflicts are no sign of an error. Leave them to the weighted sum; more rollouts may tell more.",
}
"""Why nothing is to be done."""


@dataclass(frozen=True)
class Origin:
    """Where the log comes from, as far as it matters to what can be done next."""

    settings: RunSettings
    folder: Path | None
    """Of the run, if it holds the run's configuration."""
    num_rewards: int | None
    """Rewards of the run by that configuration, of which the log may be read for fewer."""

    @staticmethod
    def of(settings: RunSettings, folder: Path | None) -> Origin:
        """What the folder of a run says of it; a configuration that cannot be read starts no run."""
        try:
            config = None if folder is None else read_config(folder)
        except DataFormatError:
            config = None
        if folder is None or config is None or config.get("reward_funcs") is None:
            return Origin(settings, None, None)
        counts = [len(config[name]) for name in _REWARDS if isinstance(config.get(name), list)]
        return Origin(settings, folder, sum(counts))

    def holds(self, num_rewards: int) -> bool:
        """Whether so many rewards can be all of the run's."""
        return self.num_rewards in (None, num_rewards)

    @property
    def setting(self) -> Setting | None:
        """The method and options of the run."""
        return self.settings.setting

    def action(self, title: str, text: str, changes: Mapping[str, Any], suffix: str) -> Action:
        """An action that changes fields of the run."""
        if self.folder is None:
            return Action(title, text, None, configuration_lines(changes))
        folder = str(self.folder)
        return Action(
            title, text, train_again_command(str(self.folder / CONFIG), f"{folder.rstrip('/')}-{suffix}", changes), None
        )


def next_action(verdict: Verdict, evidence: Evidence, origin: Origin) -> Action:
    """What to do next: never against the verdict, and nothing where nothing would be gained."""
    by_rule = {found.rule: found for found in reversed(verdict.findings)}
    if "never_applied" in by_rule:
        return _repair(by_rule["never_applied"], origin)
    if verdict.kind == "no_signal":
        return Action("Look at the rewards and the sampling", verdict.findings[0].advice, None, None)
    gross = [found for found in map(family_finding, evidence.families) if found.rule in ACTING_RULES]
    declared = origin.settings.reward_families is not None
    if gross and verdict.kind in ("blind_spot", "mixed"):
        sure = any(found.level == "act" for found in gross)
        return _bound(evidence, origin) if declared or sure else _read_first(evidence, origin)
    filters = _filters_everything(evidence, origin)
    if verdict.kind in ("trade_off", "mixed"):
        return _without_filter(evidence, origin) if filters else _weigh(evidence, origin)
    if verdict.kind in ("noise", "unclear"):
        if filters:
            return _without_filter(evidence, origin)
        doubt = [found for found in verdict.findings if found.rule in _MAY_BE_ONE]
        if doubt and not declared:
            return _read_first(evidence, origin)
    if "dead" in by_rule:
        return _repair(by_rule["dead"], origin)
    first = verdict.findings[0]
    if first.rule == "noise" and not declared:
        return Action("Say which rewards measure the same thing", first.advice, None, None)
    return Action("Change nothing", _NOTHING.get(verdict.kind, first.advice), None, None)


def _repair(finding: Finding, origin: Origin) -> Action:
    """A reward that teaches nothing, tried on rollouts of the policy that the run started from."""
    command = None if origin.folder is None else check_rewards_command(str(origin.folder / CONFIG))
    return Action(f"Repair a reward: {finding.title}", finding.advice, command, None)


def _filters_everything(evidence: Evidence, origin: Origin) -> bool:
    """Whether the run drops conflicts, and not those inside families alone."""
    setting, families = origin.setting, origin.settings.reward_families
    dropped = 0.0 if evidence.run is None else evidence.run.filtered_rate or 0.0
    return dropped > 0 and setting is not None and not (setting.uses_families or setting.finds_families(families))


def _bound(evidence: Evidence, origin: Origin) -> Action:
    """Bound what one reward of a family can do."""
    declared = origin.settings.reward_families is not None
    families = _families(evidence, origin)
    names = _in_words(families)
    setting = origin.setting
    if declared and setting is not None and setting.uses_families:
        return Action(
            f"Keep {setting.label}, and read the rollouts below",
            f"The families are declared and {setting.label} uses them, which bounds what one reward can do. The "
            "rollouts on which a family disagrees the most show what fools it.",
            None,
            None,
        )
    changes = {"advantage_estimator": "consensus", "reward_families": families}
    if declared:
        title = "Train with consensus"
        text = (
            f"The families ({names}) are declared, and consensus gives no praise for an answer that fools one reward."
        )
    else:
        title = f"Declare the {'family' if len(set(families.values())) == 1 else 'families'}: {names}"
        text = (
            "If these measure the same thing, a conflict between them is an error: consensus, the default method, then "
            "gives no praise for an answer that fools one of them. If they do not, change nothing."
        )
    return origin.action(title, text, changes, "families")


def _read_first(evidence: Evidence, origin: Origin) -> Action:
    """Rewards of which it is not sure that they are one thing: only a reader of the rollouts can tell."""
    families = _families(evidence, origin)
    names = _in_words(families)
    return origin.action(
        "Read the rollouts on which they differ",
        f"They stand below. If {names} measure the same thing, declare them a family, so that consensus gives no "
        "praise for an answer that fools one of them. If they are different goals, change nothing.",
        {"advantage_estimator": "consensus", "reward_families": families},
        "families",
    )


def _without_filter(evidence: Evidence, origin: Origin) -> Action:
    """A filter of every conflict, where a conflict is no error."""
    dropped = percent(None if evidence.run is None else evidence.run.filtered_rate)
    label = "The filter" if origin.setting is None else origin.setting.label
    text = (
        f"{label} drops {dropped} of the rollouts, and nothing is gained by that here. {_SUM} keeps them and sums the "
        "rewards. Compare the held-out scores of both runs."
    )
    return origin.action("Train without the filter", text, {"advantage_estimator": _SUM}, _SUM)


def _weigh(evidence: Evidence, origin: Origin) -> Action:
    """A trade-off that no filter hides: only its weights are left to choose."""
    j, k = _worst_trade_off(evidence)
    names = evidence.names
    families = dict(zip(names, origin.settings.reward_families or names, strict=True))
    if families[names[j]] == families[names[k]]:
        return Action(
            f"Take {names[j]} and {names[k]} out of one family",
            "They are declared to measure the same thing, and oppose each other: that is a trade-off, and a family "
            "withholds praise for both sides of it.",
            None,
            None,
        )
    title = f"Say what matters more: {names[j]} or {names[k]}"
    text = "Weights settle a trade-off, not the method. If the balance is not what you want, change them"
    weights = [reward.weight for reward in evidence.rewards]
    if any(reward.weight_range is not None for reward in evidence.rewards) or not origin.holds(len(weights)):
        return Action(title, f"{text} (reward_weights).", None, None)
    order = join(names, most=None)
    return origin.action(title, f"{text}: here are today's, of {order}.", {"reward_weights": weights}, "weights")


def _worst_trade_off(evidence: Evidence) -> tuple[int, int]:
    """The opposing pair that conflicts the most."""
    rates = evidence.estimates.pair_conflict_rate[0]
    opposing = [index for index, kind in enumerate(evidence.kinds) if kind == "oppose"]
    j, k = pairs_of(len(evidence.rewards))[max(opposing, key=lambda index: rates[index])]
    return j, k


def _families(evidence: Evidence, origin: Origin) -> dict[str, str]:
    """Family by name of the reward, of those that share one: as declared, or as the log proposes them."""
    labels = origin.settings.reward_families
    if labels is not None:
        return {name: label for name, label in zip(evidence.names, labels, strict=True) if labels.count(label) > 1}
    return {name: family.name for family in evidence.families for name in family.rewards}


def _in_words(families: Mapping[str, str]) -> str:
    """The members of each family."""
    members = [[name for name in families if families[name] == label] for label in dict.fromkeys(families.values())]
    return "; ".join(join(names, most=None) for names in members)
