"""Values that the command line writes in one word."""

from __future__ import annotations

from typing import Any

import pytest

from gd2po.cli.evaluate.parsing import parse_levels, parse_reward_models
from gd2po.cli.parsing import parse_names, parse_step_range
from gd2po.errors import ConfigError


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_names, ","), (parse_names, "a,a"),
        (parse_step_range, ":"), (parse_step_range, "b:3"), (parse_step_range, "9:3"), (parse_step_range, "now"),
        (parse_levels, "1;2"), (parse_levels, ""), (parse_reward_models, ""), (parse_reward_models, "a="),
        (parse_reward_models, "a=x,a=y"),
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused_with_the_option_and_an_example(parse: Any, text: str) -> None:
    with pytest.raises(ConfigError, match="`--\\w+`"):
        parse(text)


def test_a_reward_model_without_a_name_has_that_of_its_folder() -> None:
    assert parse_reward_models("org/rm, cost=c") == {"rm": "org/rm", "cost": "c"}
