"""The built-in task: prompts that ask for tool calls, and the small policy that starts on them."""

from gd2po.data.toolcalls.task import POLICY_PATH, ToolCallExample, load_toolcalls, toolcall_examples

__all__ = ["POLICY_PATH", "ToolCallExample", "load_toolcalls", "toolcall_examples"]
