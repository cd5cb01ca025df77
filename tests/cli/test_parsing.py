"""Values that the command line writes in one word."""

from __future__ import annotations

from typing import Any

import pytest

from gd2po.cli.evaluate.parsing import parse_levels, parse_reward_models
from gd2po.cli.parsing import (
    parse_families,
    parse_names,
    parse_step_range,
    parse_weights,
)
from gd2po.errors import ConfigError


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_names, ","), (parse_names, "a,a"), (parse_weights, ""), (parse_weights, "a=1,2"), (parse_weights, "a=x"),
        (parse_step_range, ":"), (parse_step_range, "b:3"), (parse_step_range, "9:3"), (parse_step_range, "now"),
        (parse_levels, "1;2"), (parse_levels, ""), (parse_reward_models, ""), (parse_reward_models, "a="),
        (parse_reward_models, "a=x,a=y"), (parse_families, "a"), (parse_families, "a=x,a=y"), (parse_families, "=x"),
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused_with_the_option_and_an_example(parse: Any, text: str) -> None:
    with pytest.raises(ConfigError, match="`--\\w+`"):
        parse(text)


def test_a_weight_for_a_name_with_an_equals_sign_is_understood() -> None:
    assert parse_weights("a=b=2") == {"a=b": 2.0}


def test_families_by_name() -> None:
    assert parse_families("a=x, b = x,c=1=y") == {"a": "x", "b": "x", "c=1": "y"}


def test_a_reward_model_without_a_name_has_that_of_its_folder() -> None:
    assert parse_reward_models("org/rm, cost=c") == {"rm": "org/rm", "cost": "c"}
