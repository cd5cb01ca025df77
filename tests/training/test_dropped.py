"""Options of rewards that a command line leaves out go with them, and a note says so."""

from __future__ import annotations

from gd2po.training.arguments import parse_run
from gd2po.training.dropped import without_dropped

RECIPE = {
    "reward_funcs": ["judge_a", "judge_b", "think_length"],
    "reward_kwargs": {"judge_a": {"seed": 1}, "think_length": {"target_words": 12}},
    "reward_weights": [1.0, 1.0, 0.5],
    "reward_families": {"judge_a": "good", "judge_b": "good"},
    "reward_conditions": [{"reward": "think_length", "on": "judge_a", "threshold": 1.0}],
    "max_steps": 3,
}


def test_what_belongs_to_kept_rewards_stays() -> None:
    values, notes = without_dropped(RECIPE, ["judge_a", "my.correct"])
    assert values["reward_kwargs"] == {"judge_a": {"seed": 1}}
    assert values["reward_families"] == {"judge_a": "good"}
    assert values["reward_conditions"] is None
    assert "reward_weights" not in values
    assert values["max_steps"] == 3
    (note,) = notes
    assert note.startswith("reward_kwargs of think_length, reward_families of judge_b, reward_conditions on them and")


def test_weights_and_options_by_name_go_one_by_one() -> None:
    recipe = {
        "reward_funcs": ["judge_a", "my.brief"], "reward_weights": {"judge_a": 2.0, "brief": 0.5},
        "reward_kwargs": {"brief": {"most_words": 3}, "judge_a": {"seed": 1}},
    }  # fmt: skip
    values, (note,) = without_dropped(recipe, ["judge_a"])
    assert (values["reward_weights"], values["reward_kwargs"]) == ({"judge_a": 2.0}, {"judge_a": {"seed": 1}})
    assert (
        note == "reward_kwargs of brief and reward_weights of brief belong to the recipe's rewards and were left out."
    )
    assert without_dropped(recipe, ["my.brief"])[0]["reward_weights"] == {"brief": 0.5}


def test_the_same_rewards_lose_nothing() -> None:
    assert without_dropped(RECIPE, RECIPE["reward_funcs"]) == (RECIPE, [])  # type: ignore[arg-type]


def test_an_own_reward_runs_with_the_quickstart() -> None:
    parsed = parse_run(["--reward_funcs", "my.correct"], "runs/x")
    assert parsed.run.reward_kwargs == {}
    assert parsed.notes == ("reward_kwargs of think_length belong to the recipe's rewards and were left out.",)
    assert parse_run([], "runs/x").notes == ()
