"""How options of rewards may be written, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gd2po.errors import ConfigError
from gd2po.runs.spellings import families_by_name, options_by_function, read_flow, weights_as_written

RAMP = '{"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 5}'


@pytest.mark.parametrize("given", [["1", "0.5"], "1 0.5", "1,0.5", ["1, 0.5"], ["1,", "0.5"], "[1, 0.5]", ["[1, 0.5]"]])
def test_weights_in_order(given: Any) -> None:
    found = weights_as_written(given, "w")
    assert isinstance(found, list)
    assert [float(weight) for weight in found] == [1.0, 0.5]


@pytest.mark.parametrize(
    "given",
    [
        ["a=1", "b=0.5"], "a=1 b=0.5", "a=1,b=0.5", ["a=1, b = 0.5"], ["a=1,", "b=0.5"], '{"a": 1, "b": 0.5}',
        ["{a: 1, b: 0.5}"], {"a": 1, "b": 0.5},
    ],
)  # fmt: skip
def test_weights_by_name(given: Any) -> None:
    found = weights_as_written(given, "w")
    assert isinstance(found, dict)
    assert {name: float(weight) for name, weight in found.items()} == {"a": 1.0, "b": 0.5}


def test_a_schedule_may_stand_in_order_or_under_a_name() -> None:
    assert weights_as_written(["1.0", RAMP], "w") == ["1.0", RAMP]
    assert weights_as_written(["a=1.0", f"b={RAMP}"], "w") == {"a": "1.0", "b": RAMP}
    assert weights_as_written(f"a=1.0,b={RAMP}", "w") == {"a": "1.0", "b": RAMP}


def test_names_may_have_the_sign_or_spaces_in_them() -> None:
    assert weights_as_written("a=b=2", "w") == {"a=b": "2"}
    assert weights_as_written("my reward=1,your reward=2", "w") == {"my reward": "1", "your reward": "2"}
    assert families_by_name("a=x, b = x,c=1=y") == {"a": "x", "b": "x", "c=1": "y"}


@pytest.mark.parametrize(
    "given", [["a=x", "b=x"], "a=x b=x", "a=x,b=x", '{"a": "x", "b": "x"}', "{a: x, b: x}", {"a": "x", "b": "x"}]
)
def test_families(given: Any) -> None:
    assert families_by_name(given) == {"a": "x", "b": "x"}


@pytest.mark.parametrize(
    "given",
    [
        ["brief.most_words=40", "my.judge.phrase=a = b", "my.judge.on=true"],
        'brief.most_words=40, my.judge.phrase="a = b",my.judge.on=True',
        '{"brief": {"most_words": 40}, "my.judge": {"phrase": "a = b", "on": true}}',
        "{brief: {most_words: 40}, my.judge: {phrase: a = b, 'on': yes}}",
        {"brief": {"most_words": 40}, "my.judge": {"phrase": "a = b", "on": True}},
    ],
)
def test_options_of_functions(given: Any) -> None:
    assert options_by_function(given) == {"brief": {"most_words": 40}, "my.judge": {"phrase": "a = b", "on": True}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), (".5", 0.5), ("12:30", "12:30"), ("2026-01-01", "2026-01-01"), ("None", "None"), ("null", None),
        ("False", False), ("[1, 2]", [1, 2]), ("{a: b}", {"a": "b"}), ("note: this", "note: this"), ('"40"', "40"),
    ],
)  # fmt: skip
def test_the_value_of_an_option_is_what_yaml_makes_of_it(text: str, value: Any) -> None:
    assert options_by_function([f"f.x={text}"]) == {"f": {"x": value}}


@pytest.mark.parametrize("given", ["", [], {}, "{}"])
def test_no_options_are_none(given: Any) -> None:
    assert options_by_function(given) == {}


@pytest.mark.parametrize(
    ("read", "given", "message"),
    [
        (weights_as_written, "a=1,2", "mixes 'a=1', which has a name, with '2', which has none"),
        (weights_as_written, ["1", "b=2"], "mixes 'b=2', which has a name, with '1', which has none"),
        (weights_as_written, "a=1 a=2", "has 'a' twice"),
        (
            weights_as_written,
            "=1",
            "needs weights in order, like 1 0.5, or by name, like correct=1 brief=0.5: got '=1'",
        ),
        (weights_as_written, "a=", "needs weights in order"),
        (weights_as_written, 3, "needs weights in order"),
        (weights_as_written, "{a: 1, a: 2}", "has 'a' twice"),
        (weights_as_written, '{"a": 1', "which is no JSON (Expecting ',' delimiter"),
        (families_by_name, "a", "needs families by name of the reward, like judge_a=helpful judge_b=helpful or"),
        (families_by_name, "[1]", "needs families by name"),
        (families_by_name, '{"judge": "x", "judge": "y"}', "has 'judge' twice"),
        (families_by_name, "a=x,a=y", "has 'a' twice"),
        (options_by_function, "brief=40", "got 'brief' without the name of an option"),
        (options_by_function, {"brief": 40}, "got 40 for 'brief'"),
        (options_by_function, "brief", "needs options by function, like brief.most_words=40"),
        (options_by_function, "brief.most_words=", "needs options by function"),
    ],
)
def test_what_is_none_of_these_is_refused_in_one_line(read: Any, given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(given, "w")
    assert str(caught.value).startswith("`w` ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_condition_pasted_from_yaml_keeps_its_key() -> None:
    assert read_flow("[{reward: a, threshold: 1}]", "c", "a list") == [{"reward": "a", "threshold": 1}]
    with pytest.raises(ConfigError, match="`c` needs a list: got 'a'"):
        read_flow("a", "c", "a list")
