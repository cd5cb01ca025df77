"""The terminal view: the verdict, then a table per reward, per pair and per method, with small bars.

Rich leaves colours out where the output is no terminal; then it is also wide enough to be read from a file, and plain
ASCII where the encoding knows nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gd2po.diagnosis.model import Diagnosis, Finding, MethodNumbers, PairKind
from gd2po.diagnosis.views.methods import (
    CONDITIONS_TITLES,
    change_in_words,
    excerpt,
    main_methods,
    origin_in_words,
    sample_note,
    score_in_words,
    to_paste,
    warnings_of,
    weight_in_words,
)
from gd2po.report.terminal import print_parts
from gd2po.report.wording import UNDEFINED, counted, number, percent, sureness, with_interval

MOST_PAIRS = 15
MOST_VOICES = 4
EXCERPT_LETTERS = 100
BAR_CELLS = 6
SPARK_CELLS = 16
ROOMY_WIDTH = 100
"""Columns from which on there is room for the course of each reward."""

PLAIN_WIDTH = 120
"""Columns where the output is no terminal."""

_TONES = {"act": "bold red", "watch": "yellow", "good": "green", "note": "cyan"}
_READINGS: dict[PairKind, tuple[str, str]] = {
    "agree": ("green", "agree: one family?"),
    "oppose": ("red", "oppose: a trade-off"),
    "unrelated": ("yellow", "unrelated"),
    "unclear": ("cyan", "not clear"),
}
_SPARKS = "▁▂▃▄▅▆▇█"
_ASCII = str.maketrans({"−": "-", "–": "-", "→": ">", "²": "2", "·": "-", "█": "#", "░": ".", "…": "~"})


def print_diagnosis(diagnosis: Diagnosis, console: Console | None = None) -> None:
    """Print the verdict and the tables."""
    console = console or Console()
    unicode = console.encoding.lower().startswith("utf")
    width = console.width if console.is_terminal else PLAIN_WIDTH
    print_parts(_View(diagnosis, unicode=unicode, width=width).parts(), console, PLAIN_WIDTH)


class _View:
    """The parts of the view, in order."""

    def __init__(self, diagnosis: Diagnosis, *, unicode: bool, width: int) -> None:
        self.diagnosis, self.unicode, self.roomy = diagnosis, unicode, width >= ROOMY_WIDTH

    def parts(self) -> list[Text | Padding | Table]:
        diagnosis = self.diagnosis
        parts: list[Text | Padding | Table] = [
            self._facts(),
            Text(self._shown(diagnosis.verdict.headline), style="bold"),
        ]
        parts += self._action()
        for finding in diagnosis.verdict.findings:
            parts += [Text(""), *self._finding(finding)]
        parts += [Text(""), self._rewards()]
        if diagnosis.pairs:
            parts.append(self._pairs())
        if diagnosis.families:
            parts += self._families()
        if diagnosis.conditions:
            parts.append(self._conditions())
        parts.append(self._methods())
        shown = main_methods(diagnosis.methods)[0]
        parts += [Text(self._shown(f"! {text}"), style=_TONES["watch"]) for text in warnings_of(shown)]
        parts += [Text(self._shown(f"· {note}"), style="dim") for note in diagnosis.source.notes]
        return parts

    def _shown(self, text: str) -> str:
        """The text, in ASCII where the output knows no more."""
        if self.unicode:
            return text
        return text.translate(_ASCII).encode("ascii", "replace").decode()

    def _facts(self) -> Text:
        source = self.diagnosis.source
        sizes = [
            counted(count, noun)
            for count, noun in ((source.rollouts, "rollout"), (source.groups, "group"), (source.steps, "step"))
        ]
        return Text(self._shown(" · ".join([source.path, *sizes])), style="dim")

    def _action(self) -> list[Text | Padding | Table]:
        action, held_out = self.diagnosis.action, self.diagnosis.held_out
        parts: list[Text | Padding | Table] = [
            Text(self._shown(f"What to do: {action.title}"), style="bold cyan"),
            Padding(Text(self._shown(action.text)), (0, 0, 0, 2)),
        ]
        for line in (to_paste(action) or "").splitlines():
            parts.append(Text(self._shown(f"  {line}"), style="bold", no_wrap=True))  # as it is: to be pasted
        if held_out is not None:
            scores = " · ".join(
                f"{score.name} {score_in_words(score, score.values[-1])} ({change_in_words(score)})"
                for score in held_out.scores
            )
            prompts = counted(held_out.num_prompts, "held-out prompt")
            parts += [Text(""), Text(self._shown(f"{prompts} at step {held_out.steps[-1]}: {scores}"))]
        return parts

    def _finding(self, finding: Finding) -> list[Text | Padding]:
        title = Text(self._shown(finding.title), style=_TONES[finding.level])
        if finding.sureness is not None:
            title.append(
                self._shown(f"  {sureness(finding.sureness)} ({percent(finding.sureness)})"), style="dim not bold"
            )
        return [
            title,
            Padding(Text(self._shown(finding.text)), (0, 0, 0, 2)),
            Padding(Text(self._shown(f"→ {finding.advice}"), style="bold"), (0, 0, 0, 2)),
        ]

    def _table(self, title: str, columns: Sequence[str]) -> Table:
        style = box.SIMPLE_HEAD if self.unicode else box.ASCII2
        table = Table(title=title, title_justify="left", title_style="bold", box=style, pad_edge=False, padding=(0, 1))
        for column in columns:
            name = column.lstrip("<")
            left = column.startswith("<")
            table.add_column(self._shown(name), justify="left" if left else "right", overflow="fold", no_wrap=not left)
        return table

    def _rewards(self) -> Table:
        diagnosis, explorer = self.diagnosis, self.diagnosis.explorer
        at = round(100 * explorer.marked_threshold)
        single = len(diagnosis.course.first_step) == 1
        several = len(diagnosis.rewards) > 1
        columns = ["<reward", *(["mean"] if single else ["start", "end"]), "constant", "at highest"]
        columns += [f"keeps at {explorer.marked_threshold:g}", "penalties"] if several else []
        course = self.roomy and self.unicode and not single
        table = self._table("Rewards", [*columns, "<course"] if course else columns)
        for reward in diagnosis.rewards:
            weight = weight_in_words(reward)
            cells = [f"{reward.name} ({weight})" if weight else reward.name]
            cells += [number(mean) for mean in ([reward.mean] if single else [reward.first_mean, reward.last_mean])]
            cells += [percent(reward.constant_groups.value), percent(reward.at_highest_last)]
            if several:
                cells += [self._bar(kept[reward.name][at]) for kept in (explorer.retained, explorer.retained_negative)]
            if course:
                cells.append(_spark(diagnosis.course.mean[reward.name]))
            table.add_row(*(self._shown(cell) for cell in cells))
        return table

    def _pairs(self) -> Table:
        table = self._table("Pairs", ["<rewards", "opposite signs", "correlation, 95%", "<reading"])
        pairs = sorted(self.diagnosis.pairs, key=lambda pair: -(pair.conflict_rate.value or 0))
        for pair in pairs[:MOST_PAIRS]:
            tone, reading = _READINGS[pair.kind]
            table.add_row(
                self._shown(" · ".join(pair.rewards)),
                self._shown(self._bar(pair.conflict_rate.value)),
                self._shown(with_interval(pair.correlation, "signed")),
                Text(reading, style=tone),
            )
        if len(pairs) > MOST_PAIRS:
            table.add_row(f"and {len(pairs) - MOST_PAIRS} more that conflict less", "", "", "")
        return table

    def _families(self) -> list[Text | Padding | Table]:
        table = self._table(
            "Families", ["<rewards", "<known", "agreement, 95%", "tail", "<far above partners", "<kept inside"]
        )
        below: list[Text | Padding | Table] = []
        for family in self.diagnosis.families:
            far = " · ".join(f"{one.reward} {percent(one.above)}" for one in family.far)
            kept = " · ".join(f"{method.name} {percent(method.retained)}" for method in family.methods)
            cells = [" · ".join(family.rewards), origin_in_words(family), with_interval(family.agreement, "signed")]
            table.add_row(*(self._shown(cell) for cell in [*cells, number(family.tail.value), far, kept]))
            for rollout in family.rollouts:
                scores = " · ".join(f"{name} {number(score)}" for name, score in rollout.scores.items())
                line = f"{excerpt(rollout.where, 60)}: {scores}: {excerpt(rollout.completion, EXCERPT_LETTERS)}"
                below.append(Padding(Text(self._shown(line), style="dim"), (0, 0, 0, 2)))
        return [table, Text("Rollouts on which a family disagrees the most", style="bold"), *below, Text("")]

    def _conditions(self) -> Table:
        table = self._table(
            "What conditions on the rewards would do", ["<condition", "holds back", "conflicts", "cancels", "<constant"]
        )
        for row in self.diagnosis.conditions:
            origin = CONDITIONS_TITLES[row.origin]
            name = f"{'; '.join(row.words)} ({origin})" if row.words else origin
            held = " · ".join(percent(share) for share in row.held_back.values())
            named = row.held_back or row.constant_groups
            constant = " · ".join(f"{name} {percent(row.constant_groups[name])}" for name in named)
            cells = [name, held, percent(row.conflict_rate), percent(row.cancellation), constant]
            table.add_row(*(self._shown(cell) for cell in cells))
        return table

    def _methods(self) -> Table:
        note = sample_note(self.diagnosis)
        title = "What each method would do" if note is None else f"What each method would do ({note})"
        table = self._table(title, ["<method", "drops", "effective", "<keeps at least", "<voice"])
        for method in main_methods(self.diagnosis.methods)[0]:
            name = f"{method.name} (this run)" if method.is_run else method.name
            cells = [name, percent(method.filtered_rate), percent(method.effective_sample_share), _least(method)]
            table.add_row(*(self._shown(cell) for cell in [*cells, _voice(method)]))
        return table

    def _bar(self, share: float | None) -> str:
        if share is None:
            return percent(share)
        full = round(BAR_CELLS * min(max(share, 0), 1))
        return f"{'█' * full}{'░' * (BAR_CELLS - full)} {percent(share):>5}"


def _spark(values: Sequence[float | None]) -> str:
    """The course of a number in a few characters."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    cells = min(SPARK_CELLS, len(known))
    parts = [known[cell * len(known) // cells : (cell + 1) * len(known) // cells] for cell in range(cells)]
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means), max(means)
    scale = (len(_SPARKS) - 1) / (high - low) if high > low else 0
    return "".join(_SPARKS[round((mean - low) * scale)] for mean in means)


def _voice(method: MethodNumbers) -> str:
    """Whose the advantage is, the loudest reward first."""
    shares = [(share, name) for name, share in method.variance_share.items() if share is not None]
    loudest = sorted(shares, reverse=True)[:MOST_VOICES]
    return " · ".join(f"{name} {percent(share)}" for share, name in loudest) or UNDEFINED


def _least(method: MethodNumbers) -> str:
    """The reward of which a method keeps the least, penalties included."""
    kept = [(share, name) for name, share in method.retained.items() if share is not None]
    kept += [(share, f"{name}'s penalties") for name, share in method.retained_negative.items() if share is not None]
    if not kept:
        return UNDEFINED
    share, name = min(kept)
    return percent(share) if share == 1 else f"{percent(share)} of {name}"
