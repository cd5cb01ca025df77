import pytest

from gd2po.rewards import parse_tool_calls
from gd2po.rewards.tool_calling.text import Layout, has_layout, layout_of, think_text

ADD = '{"name": "add", "parameters": {"a": 1}}'
SHOW = '{"name": "show", "parameters": {}, "id": 7}'
ADD_CALL = {"name": "add", "parameters": {"a": 1}}
SHOW_CALL = {"name": "show", "parameters": {}, "id": 7}


def block(*lines):
    return "<tool_call>\n" + "\n".join(lines) + "\n</tool_call>"


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (block(ADD), [ADD_CALL]),
        (block(ADD, SHOW), [ADD_CALL, SHOW_CALL]),
        (f"<tool_call>{ADD}</tool_call>", [ADD_CALL]),
        (block("", f"  {ADD}  ", f"{SHOW}\r", ""), [ADD_CALL, SHOW_CALL]),
        (f"before {block(ADD)} after", [ADD_CALL]),
        (f"{block(ADD)}{block(SHOW)}", [ADD_CALL]),
        (f"<think> no end\n{block(ADD)}", [ADD_CALL]),
        (f"<think> use <tool_call> </think>\n{block(ADD)}", [ADD_CALL]),
        (f"<think> {block(ADD)} </think>\n{block(SHOW)}", [SHOW_CALL]),
        (f"<think> {block(ADD)} </think>\n<response> 2 </response>", [ADD_CALL]),
    ],
)
def test_calls_are_read_from_the_block_after_the_thought(text, calls):
    assert parse_tool_calls(text) == calls


@pytest.mark.parametrize(
    "text",
    [
        "",
        ADD,
        block(),
        f"<tool_call>\n{ADD}\n",
        f"{ADD}\n</tool_call>",
        f"</tool_call>\n{ADD}\n<tool_call>",
        block(ADD, "", SHOW),
        block(ADD, "[1, 2]"),
        block(ADD, "prose"),
        block(ADD + SHOW),
        block(ADD[:-1]),
        block('{"name": "add", "arguments": {"a": 1}}'),
        block('{"tool": "add", "parameters": {"a": 1}}'),
        block('{"name": 1, "parameters": {"a": 1}}'),
        block('{"name": "add", "parameters": [1]}'),
        block('{"name": "add", "parameters": null}'),
        block("{'name': 'add', 'parameters': {'a': 1}}"),
        block("null"),
        f"<tool_call>\n{ADD}\n<tool_call>\n</tool_call>",
    ],
)
def test_a_block_with_anything_but_calls_is_unparsable(text):
    assert parse_tool_calls(text) is None


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("", Layout(tool_call=False, response=False)),
        ("<think> <tool_call> or <response>? </think>", Layout(tool_call=False, response=False)),
        (f"<think> a </think>\n{block(ADD)}", Layout(tool_call=True, response=False)),
        ("<think> <tool_call>? </think>\n<response> b </response>", Layout(tool_call=False, response=True)),
        (f"{block(ADD)}\n<response> b </response>", Layout(tool_call=True, response=True)),
    ],
)
def test_the_layout_is_what_stands_after_the_thought(text, layout):
    assert layout_of(text) == layout


@pytest.mark.parametrize("tool_call", [False, True])
@pytest.mark.parametrize("response", [False, True])
def test_an_output_written_by_the_layout_has_it(tool_call, response):
    parts = ["<think> a\nb </think>"]
    parts += [block(ADD, SHOW)] * tool_call
    parts += ["<response> c\nd </response>"] * response
    assert has_layout("\n".join(parts), Layout(tool_call, response))
    if len(parts) > 1:
        assert not has_layout("\n".join(parts[::-1]), Layout(tool_call, response))


@pytest.mark.parametrize(
    ("text", "thought"),
    [("<think> a </think> b", " a "), ("<think></think>", ""), ("<think> a", None), ("a </think>", None),
     ("<think>a</think><think>b</think>", "b"), ("<think>a</think><think>b", None), ("<think>a<think>b</think>", "b")],
)  # fmt: skip
def test_the_thought_is_the_last_one_that_is_opened(text, thought):
    assert think_text(text) == thought
