from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from trl import ModelConfig, SFTConfig

from gd2po import GD2POConfig
from gd2po.errors import ConfigError
from gd2po.integrations.trl.bounds import BOUNDS, require_meant
from gd2po.training.arguments import RunArguments, WarmStartArguments

FIELDS = {
    field.name: field.default
    for part in (ModelConfig, SFTConfig, RunArguments, WarmStartArguments, GD2POConfig)
    for field in dataclasses.fields(part)
}


def test_every_bound_is_of_a_field_and_takes_its_default() -> None:
    assert set(BOUNDS) <= set(FIELDS)
    require_meant({name: FIELDS[name] for name in BOUNDS})


@pytest.mark.parametrize("name", BOUNDS)
def test_no_field_takes_what_is_no_number_of_its_kind(name: str) -> None:
    too_small = BOUNDS[name].least - (0 if BOUNDS[name].above else 2.5)
    for value in (math.nan, math.inf, too_small, True, [1]):
        with pytest.raises(ConfigError, match=f"`{name}` must be a (whole )?number (of at least|above)"):
            require_meant({name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_steps": -5}, "`max_steps` must be a whole number of at least 1, or -1: got -5. -1 leaves the length"),
        ({"max_steps": 0}, "`max_steps` must be"),
        ({"max_steps": 2.5}, "`max_steps` must be a whole number"),
        ({"temperature": 0.0}, "`temperature` must be a number above 0: got 0.0"),
        ({"top_p": 1.5}, "`top_p` must be a number above 0 and at most 1: got 1.5"),
        ({"adam_beta1": 1.0}, "`adam_beta1` must be a number of at least 0 and below 1: got 1.0"),
        ({"learning_rate": -1e-3}, "`learning_rate` must be a number of at least 0: got -0.001"),
        ({"num_generations": 1}, "`num_generations` must be a whole number of at least 2: got 1"),
        ({"seed": 2**32}, "`seed` must be a whole number of at least 0 and at most 4294967295"),
        ({"reward_timeout": 0}, "`reward_timeout` must be a number above 0: got 0"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        require_meant(values)


def test_modes_in_words_and_fields_without_a_value_pass() -> None:
    require_meant({"max_steps": -1, "seed": None, "save_steps": 0.2, "top_k": -1, "max_grad_norm": 0, "unknown": -1})
    require_meant({"max_steps": 10**400})


def test_a_configuration_refuses_them_before_trl_divides_by_them() -> None:
    with pytest.raises(ConfigError, match="`gradient_accumulation_steps` must be a whole number of at least 1: got 0"):
        GD2POConfig(output_dir="unused", use_cpu=True, bf16=False, gradient_accumulation_steps=0)
