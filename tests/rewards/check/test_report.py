import asyncio
import functools
import itertools
import math
import random
import subprocess
import sys
import warnings

import pytest

from gd2po.errors import InvalidInputError, InvalidTypeError, RewardFunctionError
from gd2po.rewards import (
    REWARD_FUNCS,
    RewardFunctionWarning,
    check_reward_func,
    completion_texts,
    configure,
    think_length,
    tool_call_correctness,
)


def characters(completions, **kwargs):
    return [float(len(text)) for text in completion_texts(completions)]


def raises(reward_func, match, **samples):
    with pytest.raises(RewardFunctionError, match=match) as caught:
        check_reward_func(reward_func, **samples)
    return caught.value


def warns(reward_func, match, **samples):
    """The report of a function about which exactly one thing is warned."""
    with pytest.warns(RewardFunctionWarning, match=match) as caught:
        report = check_reward_func(reward_func, **samples)
    assert [str(warning.message) for warning in caught] == list(report.warnings)
    assert len(report.warnings) == 1
    return report


# --- functions without fault --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REWARD_FUNCS)
def test_the_built_in_rewards_pass_without_a_warning(name):
    report = check_reward_func(REWARD_FUNCS[name])
    assert (report.name, report.warnings) == (name, ())
    assert len(report.scores) == 8


def test_the_report_holds_the_scores_of_the_users_own_samples():
    report = check_reward_func(characters, ["a", "abc", ""])
    assert report.scores == (1.0, 3.0, 0.0)


def test_a_configured_reward_and_an_object_pass_under_the_names_that_trl_logs():
    class Judge:
        def __call__(self, completions, **kwargs):
            return characters(completions)

    assert check_reward_func(configure(think_length, target_words=4)).name == "think_length"
    assert check_reward_func(Judge()).name == "Judge"


def test_a_coroutine_function_is_awaited_in_one_event_loop():
    loops = set()

    async def judge(completions, *, scale=1.0, **kwargs):
        await asyncio.sleep(0)
        loops.add(asyncio.get_running_loop())
        return [scale * score for score in characters(completions)]

    report = check_reward_func(functools.partial(judge, scale=2.0), ["a", "abc"])
    assert (report.name, report.scores) == ("judge", (2.0, 6.0))
    assert len(loops) == 1


def test_a_coroutine_function_can_be_checked_where_a_loop_is_running():
    async def judge(completions, **kwargs):
        return characters(completions)

    async def notebook():
        return check_reward_func(judge, ["a", "abc"])

    assert asyncio.run(notebook()).scores == (1.0, 3.0)


def test_a_generator_is_taken_as_trl_takes_it():
    def lazy(completions, **kwargs):
        yield from characters(completions)

    assert check_reward_func(lazy, ["a", "abc"]).scores == (1.0, 3.0)


def test_every_column_and_keyword_reaches_the_function():
    seen = {}

    def reward(completions, **kwargs):
        seen.update(kwargs)
        kwargs["log_extra"]("column", [1, 2])
        kwargs["log_metric"]("metric", 1.0)
        return [kwargs["trainer_state"].global_step + level for level in kwargs["level"]]

    report = check_reward_func(reward, ["a", "b"], ["x", None], level=[1, 2], prompt=["p", "q"])
    assert report.scores == (1.0, 2.0)
    assert {key: seen[key] for key in ("prompts", "answer", "level")} == {
        "prompts": ["q"], "answer": [None], "level": [2],  # the last call has the second half of the batch
    }  # fmt: skip


def test_stand_ins_for_what_trl_passes_for_a_run_can_be_replaced():
    def annealed(completions, trainer_state, **kwargs):
        return [trainer_state["step"] * score for score in characters(completions)]

    assert check_reward_func(annealed, ["a", "abc"], trainer_state={"step": 2}).scores == (2.0, 6.0)


def test_keywords_are_those_that_trl_passes():
    trl = pytest.importorskip("trl")
    import torch

    passed = {}

    def from_trl(**kwargs):
        passed["trl"] = set(kwargs)
        return [1.0, 2.0]

    def from_check(**kwargs):
        passed["check"] = set(kwargs)
        return [1.0, 2.0][: len(kwargs["completions"])]

    class Trainer:
        """As much of a trainer as TRL needs to call reward functions."""

        class accelerator:
            device = torch.device("cpu")
            is_main_process = False

        class state:
            global_step = 0

        class args:
            report_to = ()

        reward_funcs = (from_trl,)
        reward_func_names = ("from_trl",)
        reward_processing_classes = (None,)
        environments = None
        _log_completion_extra = _log_metric = None

    inputs = [{"prompt": "p", "answer": "x"}] * 2
    trl.GRPOTrainer._calculate_rewards(Trainer(), inputs, ["p", "p"], ["a", "b"], [[1], [2]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RewardFunctionWarning)
        check_reward_func(from_check, ["a", "b"], ["x", "x"])
    assert passed["check"] == passed["trl"]


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [1.0, None, ["f"]])
def test_what_cannot_be_called_is_an_error(thing):
    raises(thing, f"must be callable, got {type(thing).__name__}")


def test_a_reward_model_is_no_function():
    import torch

    class RewardModel(torch.nn.Module):
        def get_input_embeddings(self):
            return None

    raises("owner/model", "A reward model, or its id, is run by TRL itself")
    raises(RewardModel(), "A reward model, or its id, is run by TRL itself")


def test_an_exception_comes_with_the_functions_name_and_as_the_cause():
    def broken(completions, **kwargs):
        return [1 / len(text) for text in completion_texts(completions)]

    error = raises(broken, r"`broken` raised ZeroDivisionError: .* \(on 8 sample completions, strings\)")
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_an_exception_in_a_coroutine_or_generator_comes_with_the_functions_name():
    async def broken(completions, **kwargs):
        raise KeyError("answer")

    def lazy(completions, **kwargs):
        yield completions[0]["content"]

    assert isinstance(raises(broken, "`broken` raised KeyError").__cause__, KeyError)
    assert isinstance(raises(lazy, "`lazy` raised TypeError", completions=["a"]).__cause__, TypeError)


def test_a_batch_of_one_that_fails_is_found():
    def spread(completions, **kwargs):
        scores = characters(completions)
        return [score / (max(scores) - min(scores)) for score in scores]

    raises(spread, r"`spread` raised ZeroDivisionError: .* \(on 1 sample completions", completions=["a", "abc"])


def test_too_few_scores_are_an_error():
    raises(lambda completions, **kwargs: [1.0], r"`<lambda>` must return one score per completion: expected 8, got 1")


@pytest.mark.parametrize(
    ("value", "match"),
    [("1", "must return numbers or None, got str '1' for completion 0"),
     (math.nan, "returned NaN for completion 0. Return None where the reward does not apply"),
     (math.inf, "returned inf for completion 0. A score has to be finite")],
)  # fmt: skip
def test_a_score_that_trl_cannot_use_is_an_error(value, match):
    raises(lambda completions, **kwargs: [value] * len(completions), match)


def test_a_function_that_does_not_take_trls_keywords_is_told_to():
    def narrow(completions, answer):
        return [0.0] * len(completions)

    raises(narrow, "`narrow` does not accept `prompts`, `completion_ids`, `trainer_state`, .* add `\\*\\*kwargs`")


def test_a_function_that_needs_a_column_says_how_to_pass_it():
    def solved(completions, solution, **kwargs):
        return [float(text == wanted) for text, wanted in zip(completions, solution, strict=True)]

    raises(solved, r"`solved` needs `solution`.*check_reward_func\(solved, completions=\[...\], solution=\[...\]\)")
    assert check_reward_func(solved, ["1", "2"], solution=["1", "1"]).scores == (1.0, 0.0)
    raises(tool_call_correctness, "`tool_call_correctness` needs `answer`", completions=["a"])


def test_arguments_by_position_only_are_an_error():
    def positional(completions, /, **kwargs):
        return [0.0] * len(completions)

    raises(positional, "`positional` takes `completions` by position only")


def test_a_coroutine_that_trl_would_not_await_is_an_error():
    async def judge(completions, **kwargs):
        return characters(completions)

    raises(lambda **kwargs: judge(**kwargs), "not declared `async def`, so TRL does not await it")


def test_a_callable_without_a_signature_is_checked_by_calling_it():
    raises(dict, "`dict` must return a list with one score per completion, got dict")


# --- warnings -----------------------------------------------------------------------------------------------


def test_random_scores_are_warned_about():
    generator = random.Random(0)
    warns(lambda completions, **kwargs: [generator.random() for _ in completions], "differently from call to call")


def test_constant_scores_are_warned_about():
    report = warns(lambda completions, **kwargs: [1.0] * len(completions), "the same score, 1. A constant reward")
    assert report.scores == (1.0,) * 8


def test_a_reward_that_applies_to_nothing_is_warned_about():
    report = warns(lambda completions, **kwargs: [None] * len(completions), r"applies to no sample completion")
    assert report.scores == (None,) * 8


def test_a_single_sample_is_not_called_constant():
    assert check_reward_func(characters, ["abc"]).warnings == ()


def test_scores_by_place_in_the_batch_are_warned_about():
    def by_place(completions, **kwargs):
        return [float(place) for place, _ in enumerate(completions)]

    warns(by_place, "differently when the batch is reversed")


def test_scores_relative_to_the_batch_are_warned_about():
    def normalised(completions, **kwargs):
        scores = characters(completions)
        return [score - sum(scores) / len(scores) for score in scores]

    warns(normalised, "differently when the batch is split in two")


def test_the_noise_of_a_batched_model_is_not_warned_about():
    calls = itertools.count()

    def model(completions, **kwargs):
        noise = 1e-6 * (next(calls) % 3)
        return [score + noise for score in characters(completions)]

    assert check_reward_func(model).warnings == ()


def test_changed_arguments_are_warned_about_and_do_not_reach_the_next_call():
    def stripping(completions, **kwargs):
        for place, text in enumerate(completions):
            completions[place] = text.strip()
        return characters(completions)

    samples = [" a ", "abc"]
    warns(stripping, r"changes its arguments \(`completions`\)", completions=samples)
    assert samples == [" a ", "abc"]


def test_changed_messages_and_references_are_warned_about():
    def greedy(completions, answer, **kwargs):
        for message, _ in zip(completions, answer[:], strict=True):
            message[0]["content"] += "!"
        answer.clear()
        return characters(completions)

    messages = [[{"role": "assistant", "content": text}] for text in ("a", "bcd")]
    warns(greedy, r"changes its arguments \(`answer`, `completions`\)", completions=messages, answer=["x", "y"])


def test_a_function_for_one_form_only_is_warned_about():
    def for_messages(completions, **kwargs):
        return [float(len(completion[0]["content"])) for completion in completions]

    def for_strings(completions, **kwargs):
        return [float(len(completion.strip())) for completion in completions]

    warns(for_messages, r"takes message lists and fails on strings \((Type|Index)Error\)")
    warns(for_strings, r"takes strings and fails on message lists \(AttributeError\)")


def test_a_function_that_measures_the_message_list_is_warned_about():
    warns(lambda completions, **kwargs: [float(len(text)) for text in completions], "as a string and as a message list")


def test_only_the_given_form_is_checked():
    def for_messages(completions, **kwargs):
        return [float(len(completion[0]["content"])) for completion in completions]

    messages = [[{"role": "assistant", "content": text}] for text in ("a", "bcd")]
    assert check_reward_func(for_messages, messages).scores == (1.0, 3.0)
    raises(for_messages, "`for_messages` raised", completions=["a", "bcd"])


def test_warnings_point_at_the_line_that_asked():
    with pytest.warns(RewardFunctionWarning) as caught:
        check_reward_func(lambda completions, **kwargs: [1.0] * len(completions))
    assert caught[0].filename == __file__


# --- samples that do not fit --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "error", "match"),
    [
        ({"completions": []}, InvalidInputError, "`completions` is empty"),
        ({"completions": ["a", [{"content": "b"}]]}, InvalidInputError, "all strings or all message lists"),
        ({"completions": "abc"}, InvalidTypeError, "`completions` must be a list"),
        (
            {"completions": ["a"], "answer": ["x", "y"]},
            InvalidInputError,
            r"`answer` needs one value .* expected 1 .* 2",
        ),
        ({"completions": ["a"], "level": 3}, InvalidInputError, "`level` must be a list with one value per completion"),
        (
            {"completions": ["a"], "level": "3"},
            InvalidInputError,
            "`level` must be a list with one value per completion",
        ),
        ({"answer": ["x"], "level": [1]}, InvalidInputError, "`completions` is missing: `answer`, `level` need"),
    ],
)
def test_samples_that_do_not_fit_together_are_refused(samples, error, match):
    with pytest.raises(error, match=match):
        check_reward_func(characters, **samples)


def test_importing_the_rewards_loads_nothing_heavy():
    heavy = ("torch", "numpy", "transformers", "trl", "datasets", "pandas")
    code = f"import gd2po.rewards, sys; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"
