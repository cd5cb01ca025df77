import pytest

from gd2po.errors import InvalidTypeError
from gd2po.rewards import completion_texts


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("plain", "plain"),
        ([{"role": "assistant", "content": "one"}], "one"),
        (({"role": "assistant", "content": "a tuple"},), "a tuple"),
        ([{"content": "no role"}], "no role"),
        ([], ""),
        ([{"role": "tool", "content": "3"}], ""),
        ([{"role": "assistant", "content": None, "tool_calls": [{}]}], ""),
        ([{"role": "assistant"}], ""),
        ([{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}]}], "ab"),
    ],
)
def test_the_text_of_a_completion_is_the_assistants_content(completion, text):
    assert completion_texts([completion]) == [text]


def test_after_tool_turns_the_last_assistant_message_is_scored():
    turns = [
        {"role": "assistant", "content": "first"},
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": "last"},
        {"role": "tool", "content": "4"},
    ]
    assert completion_texts([turns]) == ["last"]


@pytest.mark.parametrize(
    ("completions", "match"),
    [
        ("text", "`completions` must be a list with one item per completion, got str"),
        (None, "`completions` must be a list with one item per completion, got NoneType"),
        (["a", 1], r"`completions\[1\]` must be a string or a list of messages .* got int"),
        ([["a"]], r"`completions\[0\]` must be a string or a list of messages .* got list"),
        ([{"role": "assistant", "content": "a"}], r"`completions\[0\]` must be a string or a list of messages"),
        ([[{"content": 1}]], r"`completions\[0\]`: the content of a message must be .* got int"),
    ],
)
def test_what_is_no_batch_of_completions_is_refused(completions, match):
    with pytest.raises(InvalidTypeError, match=match):
        completion_texts(completions)
