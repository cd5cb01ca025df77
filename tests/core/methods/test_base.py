"""What the table knows of a method comes from its function: every option, documented."""

from __future__ import annotations

import inspect
import math
import re
from typing import Annotated, Any, Literal

import pytest

from gd2po import METHODS
from gd2po.core.methods.base import Method, Range, options_of
from gd2po.errors import InvalidInputError

SECTIONS = ["Args", "Returns", "Raises", "Example", "Source"]


def documented(
    rewards: Any,
    group_ids: Any,
    *,
    array: list[float],
    dial: Annotated[float, Range(0, 1)] | Literal["auto"] = 0.5,
    switch: bool = True,
    choice: Literal["a", "b"] | None = None,
    open_ended: Annotated[float, Range(1, math.inf)] = 2.0,
    reward_weights: Any = None,
) -> Any:
    """One line.

    Args:
        array: numbers, one per reward,
            over two lines.
        dial: in [0, 1].
        switch: on or off.
        choice: a or b.
        open_ended: at least 1.
    """


def test_options_are_what_signature_and_docstring_say() -> None:
    found = options_of(documented)
    assert list(found) == ["array", "dial", "switch", "choice", "open_ended"]
    assert found["array"].is_array
    assert found["array"].required
    assert found["array"].default is None
    assert found["array"].help == "numbers, one per reward, over two lines."
    assert (found["dial"].bounds, found["dial"].words, found["dial"].required) == (Range(0, 1), ("auto",), False)
    assert found["switch"].is_switch
    assert found["choice"].optional
    assert Method("m", "title", "source", documented).needs == ("array",)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dial", 1.5, "`dial` must be a number in [0, 1] or 'auto': got 1.5"),
        ("dial", math.nan, "`dial` must be a number in [0, 1] or 'auto': got nan"),
        ("switch", 1, "`switch` must be true or false: got 1"),
        ("choice", "c", "`choice` must be one of 'a', 'b': got 'c'"),
        ("open_ended", 0.5, "`open_ended` must be a finite number of at least 1: got 0.5"),
        ("open_ended", math.inf, "`open_ended` must be a finite number of at least 1: got inf"),
        ("open_ended", "2", "`open_ended` must be a finite number of at least 1: got '2'"),
    ],
)
def test_a_value_that_an_option_does_not_take_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        options_of(documented)[name].check(value)


def test_a_value_that_an_option_takes_passes() -> None:
    for name, value in (
        ("dial", "auto"),
        ("dial", 0),
        ("choice", None),
        ("open_ended", 1e300),
        ("array", "checked later"),
    ):
        options_of(documented)[name].check(value)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_documented_in_full(name: str) -> None:
    method = METHODS[name]
    assert method.function.__name__ == f"{name}_advantages"
    docstring = inspect.getdoc(method.function) or ""
    headings = re.findall(r"^(\w+):$", docstring, re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
    arxiv = re.findall(r"\d{4}\.\d{5}", method.source)
    assert len(arxiv) == 1
    assert arxiv[0] in docstring.split("Source:")[1]
    assert method.title.strip(".") == method.title
    described = re.findall(r"^ {4}(\w+): ", docstring.split("Args:")[1].split("Returns:")[0], re.MULTILINE)
    assert described == list(inspect.signature(method.function).parameters)
    for option in method.options.values():
        assert option.help, option.name


@pytest.mark.parametrize("name", METHODS)
def test_every_option_is_refused_outside_what_its_signature_says(name: str) -> None:
    import torch

    needs = {"reward_minima": [0.0], "reward_bounds": [[0.0, 1.0]]}
    method = METHODS[name]
    given = {need: needs[need] for need in method.needs}
    for option in method.options.values():
        if option.is_array:
            continue
        wrong = "yes" if option.is_switch or option.bounds is None else option.bounds.low - 1
        with pytest.raises(InvalidInputError, match=f"`{option.name}` must be"):
            method.function(torch.rand(4, 1), torch.zeros(4, dtype=torch.int64), **(given | {option.name: wrong}))


@pytest.mark.parametrize("name", METHODS)
def test_the_help_of_an_option_states_its_bounds(name: str) -> None:
    for option in METHODS[name].options.values():
        if option.bounds:
            low, high = option.bounds.low, option.bounds.high
            stated = f"at least {low:g}" if high == math.inf else f"in [{low:g}, {high:g}]"
            assert stated in option.help, option.name


def test_a_default_is_what_papers_and_pages_say_it_is() -> None:
    found = {
        f"{method.name} {option.name}": option.default
        for method in METHODS.values()
        for option in method.options.values()
        if isinstance(option.default, float | bool)
    }
    assert found == {
        "grpo scale_rewards": True,
        "gdpo scale_rewards": True,
        "gd2po scale_rewards": True,
        "gd2po snr_threshold": 0.3,
        "gd2po snr_eps": 1e-8,
        "gd2po min_retained": 0.8,
        "gd2po min_correlation": 0.0,
        "gd2po query_reweighting": True,
        "consensus min_correlation": 0.1,
        "consensus kappa": 1.0,
        "corr_grpo min_correlation_sum": 0.01,
        "gdpo_corr min_correlation_sum": 0.01,
        "dara max_multiplier": 5.0,
        "sa_mrpo gamma": 0.5,
        "rvpo kappa": 1.0,
    }
