import functools
import inspect
import pickle
import sys

import pytest

from gd2po.errors import ConfigError, InvalidInputError
from gd2po.rewards import (
    EVAL_FUNCS,
    REWARD_FUNCS,
    RewardFunc,
    answer_quality,
    callable_name,
    configure,
    exact_calls,
    judge_a,
    judge_b,
    load_eval_func,
    load_reward_func,
    noisy_grader_a,
    noisy_grader_b,
    think_length,
    tool_call_correctness,
    tool_call_format,
)

COMPLETION = "<think> one two </think>"


class Judge:
    def __call__(self, completions, **kwargs):
        return [0.0] * len(completions)


async def slow_judge(completions, *, scale=1.0, **kwargs):
    return [scale] * len(completions)


def test_recipes_find_every_reward_under_its_own_name():
    functions: list[RewardFunc] = [
        *(tool_call_correctness, tool_call_format, think_length),
        *(noisy_grader_a, noisy_grader_b),
        *(judge_a, judge_b),
    ]
    assert {function.__name__: function for function in functions} == REWARD_FUNCS


def test_configured_options_are_used_and_the_function_itself_stays_as_it_was():
    assert configure(think_length, target_words=4, high=10.0)([COMPLETION]) == [5.0]
    assert think_length([COMPLETION]) == [0.0]


def test_a_configured_function_keeps_its_name_and_docstring_and_can_be_configured_again():
    once = configure(think_length, target_words=4)
    twice = configure(once, high=10.0)
    assert (twice.__name__, twice.__doc__) == ("think_length", inspect.getdoc(think_length))
    assert twice([COMPLETION]) == [5.0]
    assert inspect.signature(twice).parameters["target_words"].default == 4


def test_a_configured_function_survives_pickling():
    restored = pickle.loads(pickle.dumps(configure(think_length, target_words=4)))
    assert restored([COMPLETION]) == [0.5]
    assert restored.__name__ == "think_length"


@pytest.mark.parametrize(
    ("option", "way_out"),
    [
        ("target_word", "Did you mean 'target_words'"),
        ("hgih", "Did you mean 'high'"),
        ("completions", "There are: target_words, low, high"),
        ("answer", "There are: target_words, low, high"),
        ("xyz", "There are: target_words, low, high"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_known_one(option, way_out):
    with pytest.raises(InvalidInputError, match=f"`think_length` has no option `{option}`. {way_out}"):
        configure(think_length, **{option: 1})


def test_a_function_without_options_says_how_to_get_some():
    with pytest.raises(InvalidInputError, match=r"`Judge` has no option `scale`. It has no keyword-only arguments"):
        configure(Judge(), scale=2.0)


def test_names_and_coroutine_functions_are_seen_as_trl_sees_them():
    utils = pytest.importorskip("trl.trainer.utils")
    functions = [
        think_length, configure(think_length, low=-1.0), functools.partial(functools.partial(slow_judge), scale=2.0),
        configure(slow_judge, scale=2.0), Judge(), Judge,
    ]  # fmt: skip
    assert [callable_name(function) for function in functions] == [
        utils.get_callable_name(function) for function in functions
    ]
    assert utils.is_async_callable(configure(slow_judge, scale=2.0))


def test_every_reward_can_be_an_evaluation_function_and_exact_calls_is_no_reward():
    assert {**REWARD_FUNCS, "exact_calls": exact_calls, "answer_quality": answer_quality} == EVAL_FUNCS
    assert load_eval_func("think_length") is think_length
    with pytest.raises(ConfigError, match="There is no evaluation function 'exact_cals'. Did you mean 'exact_calls'"):
        load_eval_func("exact_cals")
    with pytest.raises(ConfigError, match="There is no reward 'exact_calls'. Built in are: tool_call_correctness"):
        load_reward_func("exact_calls")


@pytest.fixture
def own_modules(tmp_path, monkeypatch):
    """Modules of a user's own in the working directory."""
    sources = {
        "fine_rewards": "import math\nlimit = 3\ndef brevity(completions, **kwargs):\n    return [0.0]\n",
        "broken_rewards": "def brevity(:\n",
        "failing_rewards": "import math\nmath.nothing\n",
        "leaving_rewards": "import sys\nsys.exit(0)\n",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fine_rewards.brevty", "fine_rewards has no 'brevty'. Did you mean 'brevity'?"),
        ("fine_rewards.xyz", r"cannot be imported: fine_rewards has no 'xyz'\."),
        (
            "fine_rewards.math",
            "'fine_rewards.math' is a module. Name a function in it: fine_rewards.math.my_",
        ),
        ("fine_rewards.limit", "Reward 'fine_rewards.limit' must be a function: got int"),
        ("no_rewards_here.f", "Reward 'no_rewards_here.f' cannot be imported: No module named 'no_rewards_here'"),
        ("broken_rewards.brevity", "cannot be imported: SyntaxError: .*broken_rewards.py"),
        ("failing_rewards.f", r"AttributeError: module 'math' has .* \(line 2 of .*failing_rewards.py\)"),
        ("leaving_rewards.f", r"cannot be imported: SystemExit: 0 \(line 2 of .*leaving_rewards.py\)"),
        *((name, "is no import path: it must be names") for name in ("..f", ".f", "f.", ".", "a..f", "a-b.f")),
    ],
)
def test_a_function_that_cannot_be_had_is_a_message(own_modules, name, message):
    with pytest.raises(ConfigError, match=message):
        load_reward_func(name)


def test_a_function_of_ones_own_is_found(own_modules):
    assert load_reward_func("fine_rewards.brevity")([]) == [0.0]
