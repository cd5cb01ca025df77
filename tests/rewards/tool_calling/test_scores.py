import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gd2po.errors import InvalidInputError, InvalidTypeError
from gd2po.rewards import think_length, tool_call_correctness, tool_call_format

REWARDS = {"correctness": tool_call_correctness, "format": tool_call_format, "length": think_length}
RANGES = {"correctness": (-3.0, 3.0), "format": (0.0, 1.0), "length": (0.0, 1.0)}


def output(*calls, think="I call the tool.", raw=None):
    """An output in the RLLA format, with these calls or with `raw` as the text of its block."""
    block = "\n".join(json.dumps(call) for call in calls) if raw is None else raw
    return f"<think> {think} </think>\n<tool_call>\n{block}\n</tool_call>"


def call(name, **parameters):
    return {"name": name, "parameters": parameters}


def correctness(completion, answer, **options):
    [score] = tool_call_correctness([completion], [answer], **options)
    return score


def is_format(completion, answer):
    [score] = tool_call_format([completion], [answer])
    return score == 1.0


RESPONSE = "<think> No tool is needed. </think>\n<response> You are welcome! </response>"
ANSWER = output(call("add", a=1, b=2), call("show", text="sum"))

# --- the published scores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REWARDS)
def test_every_golden_case_scores_exactly_what_was_published(name, golden_cases):
    completions = [case["completion"] for case in golden_cases]
    answers = [case["answer"] for case in golden_cases]
    expected = [
        None if name == "correctness" and "<tool_call>" not in case["answer"] else case[name] for case in golden_cases
    ]
    assert len(expected) == 250
    assert REWARDS[name](completions, answers) == expected


@pytest.mark.parametrize("name", REWARDS)
def test_message_lists_score_like_strings(name, golden_cases):
    completions = [case["completion"] for case in golden_cases[:60]]
    messages = [[{"role": "assistant", "content": text}] for text in completions]
    answers = [case["answer"] for case in golden_cases[:60]]
    assert REWARDS[name](messages, answers) == REWARDS[name](completions, answers)


@pytest.mark.parametrize("name", REWARDS)
def test_everything_else_that_trl_passes_is_taken_and_ignored(name):
    scores = REWARDS[name](
        prompts=["q"], completions=[ANSWER], completion_ids=[[1]], answer=[ANSWER], trainer_state=None,
        log_extra=print, log_metric=print, level=[3],
    )  # fmt: skip
    assert scores == REWARDS[name]([ANSWER], [ANSWER])


@pytest.mark.parametrize("name", REWARDS)
def test_an_empty_batch_has_no_scores(name):
    assert REWARDS[name]([], []) == []


# --- correctness --------------------------------------------------------------------------------------------


def test_equal_calls_in_another_order_get_the_highest_score():
    swapped = output(call("show", text="sum"), call("add", b=2, a=1))
    assert correctness(swapped, ANSWER) == 3.0


def test_one_wrong_value_costs_one_point_of_the_most():
    # most: 1 + (1 + 2) + (1 + 1) = 6
    assert correctness(output(call("add", a=1, b=3), call("show", text="sum")), ANSWER) == 6 * 5 / 6 - 3


def test_a_missing_call_costs_its_points_and_half_of_the_names():
    assert correctness(output(call("add", a=1, b=2)), ANSWER) == 6 * (1 / 2 + 1 + 2) / 6 - 3


def test_a_call_too_many_lowers_only_the_similarity_of_names():
    extra = output(call("add", a=1, b=2), call("show", text="sum"), call("add", a=1, b=2))
    assert correctness(extra, ANSWER) == 6 * (2 / 3 + 3 + 2) / 6 - 3


def test_a_predicted_call_counts_for_one_reference_call_only():
    reference = output(call("add", a=1), call("add", a=1))
    # most: 1 + 2 + 2 = 5; the single call serves the first reference call
    assert correctness(output(call("add", a=1)), reference) == pytest.approx(6 * (1 / 2 + 2) / 5 - 3)


def test_the_best_prediction_of_a_name_is_matched_not_the_first():
    reference = output(call("add", a=1))
    prediction = output(call("add", b=1), call("add", a=1))
    assert correctness(prediction, reference) == 6 * (1 / 2 + 1 + 1) / 3 - 3


def test_a_match_worth_nothing_leaves_the_prediction_for_the_next_reference_call():
    reference = output(call("add", a=1), call("add", b=1))
    assert correctness(output(call("add", b=1)), reference) == pytest.approx(6 * (1 / 2 + 2) / 5 - 3)


def test_calls_without_parameters_match_in_full():
    assert correctness(output(call("now")), output(call("now"))) == 3.0


def test_rounding_lifts_no_score_above_the_highest():
    assert 0.1 * 3 / 3 > 0.1
    assert correctness(output(call("add", a=1)), output(call("add", a=1)), low=0.0, high=0.1) == 0.1


def test_other_names_get_the_lowest_score():
    assert correctness(output(call("subtract", a=1, b=2)), ANSWER) == -3.0


@pytest.mark.parametrize(
    ("predicted", "expected", "equal"),
    [(1.0, 1, True), (True, 1, True), ("1", 1, False), (None, 0, False), ([1, 2], [2, 1], False),
     ({"x": [1]}, {"x": [1.0]}, True), (float("nan"), float("nan"), False), (float("inf"), float("inf"), True)],
)  # fmt: skip
def test_values_are_compared_as_python_compares_them(predicted, expected, equal):
    score = correctness(output(call("f", x=predicted)), output(call("f", x=expected)))
    assert score == (3.0 if equal else 1.0)


@pytest.mark.parametrize("answer", [RESPONSE, None, "", output(raw="{broken"), "<tool_call>\n{}\n</tool_call>"])
def test_correctness_does_not_apply_without_a_reference_call(answer):
    assert correctness(ANSWER, answer) is None


def test_a_reference_whose_thought_mentions_the_tag_is_still_a_call():
    answer = output(call("add", a=1), think="Format it in <tool_call> tags.")
    assert correctness(output(call("add", a=1)), answer) == 3.0


def test_the_order_of_predictions_decides_nothing_but_ties():
    predictions = [call("add", a=1, b=9), call("show", text="sum"), call("add", a=1, b=2), call("other")]
    forwards = correctness(output(*predictions), ANSWER)
    assert forwards == correctness(output(*predictions[::-1]), ANSWER)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
CALLS = st.lists(
    st.builds(
        lambda name, parameters: {"name": name, "parameters": parameters},
        st.sampled_from(["a", "b", "c"]),
        st.dictionaries(st.sampled_from(["x", "y", "z"]), JSON_VALUES),
    ),
    min_size=1,
    max_size=5,
)
BOUNDS = st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)).filter(lambda pair: pair[0] < pair[1])


@given(CALLS, BOUNDS, st.randoms(use_true_random=False))
def test_the_reference_itself_in_any_order_gets_exactly_the_highest_score(calls, bounds, random):
    shuffled = random.sample(calls, len(calls))
    low, high = bounds
    assert correctness(output(*shuffled), output(*calls), low=low, high=high) == pytest.approx(high, abs=1e-9)
    assert correctness(output(*shuffled), output(*calls)) == 3.0


@given(CALLS, CALLS, BOUNDS)
def test_scores_stay_in_their_range_and_move_with_it(predicted, reference, bounds):
    low, high = bounds
    score = correctness(output(*predicted), output(*reference), low=low, high=high)
    share = correctness(output(*predicted), output(*reference), low=0.0, high=1.0)
    assert low <= score <= high
    assert 0 <= share <= 1
    assert score == pytest.approx(low + (high - low) * share, abs=1e-9)


# --- format -------------------------------------------------------------------------------------------------

BOTH = f"{ANSWER}\n<response> Done. </response>"
THINK_ONLY = "<think> Hm. </think>"
LAYOUTS = [ANSWER, RESPONSE, BOTH, THINK_ONLY]


@pytest.mark.parametrize("completion", LAYOUTS)
@pytest.mark.parametrize("answer", LAYOUTS)
def test_only_the_layout_of_the_reference_has_the_format(completion, answer):
    assert is_format(completion, answer) == (completion is answer)


@pytest.mark.parametrize(
    "completion",
    [
        f" {ANSWER}",
        f"{ANSWER}\n\n",
        f"{ANSWER} ",
        f"{ANSWER}{ANSWER}",
        ANSWER.replace("</think>\n", "</think>"),
        ANSWER.replace("</think>\n", "</think>\n\n"),
        ANSWER.replace("<tool_call>\n", "<tool_call>"),
        ANSWER.replace("\n</tool_call>", "</tool_call>"),
        ANSWER.replace("<think>", "<think> <think>"),
        ANSWER.replace("</think>", ""),
        ANSWER.replace("call", "<tool_call>", 1),
        ANSWER.replace("call", "<response>", 1),
        ANSWER.removesuffix("</tool_call>"),
        ANSWER.upper(),
        "<think> a </think>\n<tool_call>\n</tool_call>",
        "",
    ],
)
def test_any_departure_from_the_layout_has_not_the_format(completion):
    assert completion != ANSWER
    assert not is_format(completion, ANSWER)


def test_one_newline_at_the_end_is_allowed():
    assert is_format(f"{ANSWER}\n", ANSWER)


def test_format_does_not_look_at_what_the_calls_say():
    assert is_format(output(raw="not JSON"), ANSWER)


def test_a_tag_in_the_references_thought_is_no_part_of_its_layout():
    answer = RESPONSE.replace("No tool", "No <tool_call>")
    assert is_format(RESPONSE, answer)


def test_format_does_not_apply_without_a_reference():
    assert tool_call_format([ANSWER], [None]) == [None]


def test_format_scores_take_their_range():
    assert tool_call_format([ANSWER, ""], [ANSWER, ANSWER], low=-1, high=2) == [2.0, -1.0]


# --- length -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "score"), [(0, 0.0), (1, 0.0), (3, 0.01), (256, 0.5), (509, 0.99), (512, 1.0), (9999, 1.0)]
)
def test_length_is_the_share_of_the_target_in_hundredths(words, score):
    assert think_length([f"<think>{' word' * words} </think>"]) == [score]


@pytest.mark.parametrize("text", ["", "one two three", "<think> one two", "one two </think>", "</think> one <think>"])
def test_a_thought_that_is_not_opened_and_closed_has_no_length(text):
    assert think_length([text], target_words=2) == [0.0]


def test_of_several_thoughts_the_last_one_is_counted():
    assert think_length(["<think> one </think> <think> one two </think> three"], target_words=4) == [0.5]


def test_length_takes_its_target_and_range():
    completions = ["<think> one two three </think>", ""]
    assert think_length(completions, target_words=4, low=-1.0, high=3.0) == [2.0, -1.0]


# --- wrong arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", REWARDS.values())
@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"low": 1.0, "high": 1.0}, InvalidInputError, "`low` must be smaller than `high`"),
        ({"low": math.nan}, InvalidInputError, "`low` must be a finite number"),
        ({"high": math.inf}, InvalidInputError, "`high` must be a finite number"),
        ({"low": "0"}, InvalidTypeError, "`low` must be a number, got '0'"),
        ({"high": True}, InvalidTypeError, "`high` must be a number"),
        ({"low": [1.0]}, InvalidTypeError, "column `low`, rename"),
    ],
)
def test_a_range_that_is_none_is_refused(reward, options, error, match):
    with pytest.raises(error, match=match):
        reward([ANSWER], [ANSWER], **options)


@pytest.mark.parametrize("target", [0, -1])
def test_a_target_of_no_words_is_refused(target):
    with pytest.raises(InvalidInputError, match="`target_words` must be greater than 0"):
        think_length([ANSWER], target_words=target)


@pytest.mark.parametrize("reward", [tool_call_correctness, tool_call_format])
def test_references_that_do_not_fit_the_completions_are_refused(reward):
    with pytest.raises(InvalidInputError, match=r"expected 2 \(the length of `completions`\), got 1"):
        reward([ANSWER, ANSWER], [ANSWER])
    with pytest.raises(InvalidTypeError, match=r"`answer\[1\]` must be the reference answer's text or None, got dict"):
        reward([ANSWER, ANSWER], [ANSWER, {}])
    with pytest.raises(InvalidTypeError, match="`answer` must be a list"):
        reward([ANSWER], ANSWER)


# --- any string at all --------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=()))
FRAGMENTS = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", "</response>", "\n", " ", "[", "{", "}",
         '{"name": "add", "parameters": {"a": 1}}', '{"name": [], "parameters": {}}', '{"name": "add"}', "\x00",
         '{"name": "add", "parameters": []}', '{"name": "add", "parameters": {"a": NaN}}', "null", "1", '"', "\ud800"]
    )
    | ANY_TEXT,
    max_size=12,
).map("".join)  # fmt: skip


@st.composite
def mutated_outputs(draw):
    """A valid output with pieces cut out, doubled, moved or replaced."""
    text = draw(st.sampled_from(LAYOUTS))
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        piece = draw(st.sampled_from(["", text[start:end] * 2, text[end:] + text[start:end]]) | ANY_TEXT)
        text = text[:start] + piece + text[end:]
    return text


ANY_OUTPUT = ANY_TEXT | FRAGMENTS | mutated_outputs()


@settings(max_examples=400)
@given(ANY_OUTPUT, ANY_OUTPUT | st.none())
def test_any_string_gets_a_score_in_range_and_never_an_exception(completion, answer):
    for name, reward in REWARDS.items():
        low, high = RANGES[name]
        for form in (completion, [{"role": "assistant", "content": completion}]):
            [score] = reward([form], [answer])
            assert score is None or (low <= score <= high and isinstance(score, float))


HOSTILE_BLOCKS = {
    "deeply nested list": '{"name": "f", "parameters": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}",
    "deeply nested object": '{"name": "f", "parameters": ' * 100_000 + "{}" + "}" * 100_000,
    "open brackets": "[" * 5_000_000,
    "an integer of a million digits": '{"name": "f", "parameters": {"x": ' + "7" * 1_000_000 + "}}",
    "a null byte": '{"name": "f\x00", "parameters": {"x": 1}}',
    "a list as name": '{"name": ["f"], "parameters": {"x": 1}}',
    "an object as name": '{"name": {"f": 1}, "parameters": {"x": 1}}',
    "a list as parameters": '{"name": "f", "parameters": ["x"]}',
    "a million empty lines": '{"name": "f", "parameters": {"x": 1}}' + "\n" * 1_000_000 + "{}",
    "python instead of JSON": '__import__("os").abort()',
}


@pytest.mark.parametrize("block", HOSTILE_BLOCKS.values(), ids=HOSTILE_BLOCKS)
def test_a_hostile_block_is_unparsable_and_no_error(block):
    completion, answer = output(raw=block), output(call("f", x=1))
    assert correctness(completion, answer) == -3.0
    assert correctness(answer, completion) is None


def test_values_too_deep_to_parse_or_to_compare_are_scored_and_no_error():
    shallow = output(call("f", x=1))
    for depth in [*range(1, 2_000), 10_000]:  # somewhere in here the parser can follow and the comparison cannot
        nested = output(raw='{"name": "f", "parameters": {"x": ' + "[" * depth + "1" + "]" * depth + "}}")
        assert correctness(nested, nested) in (3.0, -3.0, None)
        assert correctness(nested, shallow) in (1.0, -3.0)


def test_a_comparison_that_runs_out_of_stack_gets_the_lowest_score(monkeypatch):
    # Whether the parser or the comparison gives up first depends on the Python version, so that no text shows this.
    class Bottomless:
        __hash__ = None

        def __eq__(self, other):
            raise RecursionError

    parsed = [[call("f", x=1)], [call("f", x=Bottomless())]]
    monkeypatch.setattr("gd2po.rewards.tool_calling.scores.parse_tool_calls", lambda text: parsed.pop())
    assert correctness("completion", "answer") == -3.0


def test_a_lone_surrogate_is_a_character_like_any_other():
    nested = output(raw='{"name": "f\ud800", "parameters": {"x": "\\ud800"}}')
    assert correctness(nested, nested) == 3.0


def test_of_duplicate_keys_the_last_value_counts():
    text = output(raw='{"name": "g", "name": "f", "parameters": {"x": 2, "x": 1}}')
    assert correctness(text, output(call("f", x=1))) == 3.0


MILLIONS = {
    "opened thoughts": "<think>" * 700_000,
    "closed thoughts": "</think>" * 600_000,
    "thoughts in thoughts": "<think>" * 350_000 + "</think>" * 300_000,
    "thoughts": "<think></think>\n" * 300_000,
    "opened calls": "<tool_call>\n" * 400_000,
    "empty calls": "<think></think>\n" + "<tool_call>\n</tool_call>" * 200_000,
    "newlines in a call": "<think></think>\n<tool_call>\n" + "\n" * 5_000_000,
    "a string without end": output(raw='{"name": "' + "a" * 5_000_000),
    "a long value": output(call("f", x="a" * 5_000_000)),
    "many calls": output(*[call("f", x=1)] * 50_000),
    "many parameters": output({"name": "f", "parameters": {str(i): i for i in range(300_000)}}),
    "many words": f"<think>{' a' * 2_500_000} </think>",
    "no tag": "a" * 5_000_000,
}


@pytest.mark.parametrize("text", MILLIONS.values(), ids=MILLIONS)
def test_five_megabytes_are_scored_in_linear_time(text):
    start = time.process_time()
    for reward in REWARDS.values():
        reward([text], [output(call("f", x=1), call("f", y=2))])
    assert time.process_time() - start < 5.0  # some 0.5 s; quadratic time would be hours
