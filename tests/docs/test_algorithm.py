"""The pages about the methods have every method of the table, say of each what the table says, and their code runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import gd2po
from gd2po import METHODS

DOCS = Path(__file__).parents[2] / "docs"
METHODS_PAGE = (DOCS / "algorithm.md").read_text(encoding="utf-8")
CHOICE_PAGE = (DOCS / "which-method.md").read_text(encoding="utf-8")
PAGES = {"algorithm.md": METHODS_PAGE, "which-method.md": CHOICE_PAGE}
ROWS = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\) \| (.*) \|$", METHODS_PAGE, re.MULTILINE)
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", METHODS_PAGE, re.DOTALL | re.MULTILINE))


def test_the_table_is_that_of_the_code() -> None:
    assert [name for name, _, _ in ROWS] == list(METHODS)
    for name, anchor, rest in ROWS:
        method, (title, whitening, _, needs, source) = METHODS[name], [cell.strip() for cell in rest.split("|")]
        assert anchor == name
        assert title == method.title
        assert source == method.source
        assert tuple(re.findall(r"`(\w+)`", needs)) == method.needs
        default = method.options["whitening"].default
        assert whitening == (default or "rollouts; none in mode grpo")


def test_every_method_has_a_section_with_its_use_its_trap_and_its_source() -> None:
    assert set(SECTIONS) == set(METHODS)
    for name, text in SECTIONS.items():
        for part in ("**Take it**", "**Trap**", "**Source**"):
            assert text.count(part) == 1, (name, part)
        for option in METHODS[name].options:
            assert option in ("whitening", "scale_rewards") or re.search(rf"\b{option}\b", text), (name, option)


def test_it_says_which_methods_rank_the_rollouts_of_a_group_alike() -> None:
    (names,) = re.findall(r"^\*\*(.*) rank the rollouts of a group alike\.\*\*", METHODS_PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", names) == ["grpo", "dr_grpo", "rloo", "dvao", "corr_grpo"]


def test_every_method_is_on_the_page_that_chooses() -> None:
    assert {name for name in METHODS if f"`{name}`" in CHOICE_PAGE} == set(METHODS)


@pytest.mark.parametrize("page", PAGES)
def test_names_in_code_style_are_methods_options_or_public_names(page: str) -> None:
    prose = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    options = {option for method in METHODS.values() for option in method.options}
    fields = set(inspect.get_annotations(gd2po.AdvantageResult)) | set(dir(gd2po.AdvantageResult))
    words = {word for method in METHODS.values() for option in method.options.values() for word in option.words}
    known = {*METHODS, *options, *words, *fields, *dir(gd2po)}
    underscored = set(re.findall(r"`([a-z]{3,}_[a-z_]{2,})`", prose))
    assert len(underscored) > 5
    of_hosts = {"dynamic_sampling", "gradient_coordination"}
    assert underscored - known - of_hosts <= {
        "reward_weights", "reward_families", "correlations", "normalize_then_sum"
    }  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_pages_lead_to_headings(page: str) -> None:
    def anchors(text: str) -> set[str]:
        headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    for target, anchor in re.findall(r"\]\((\w[\w-]*\.md)?#([\w-]+)\)", PAGES[page]):
        assert anchor in anchors((DOCS / (target or page)).read_text(encoding="utf-8")), anchor


@pytest.mark.parametrize(
    "code", [code for text in PAGES.values() for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
)
def test_the_code_runs_and_prints_what_it_says(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "page", "exec"), {"__name__": "page"})
    printed = capsys.readouterr().out
    shown = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert shown
    assert printed.splitlines() == shown
