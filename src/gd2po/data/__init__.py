"""Data sets with the columns `prompt` and `answer`. Nothing heavy is imported before a loader is called."""

from gd2po.data.columns import require_columns
from gd2po.data.sources import builtin_model, has_splits, load_prompts, load_rlla
from gd2po.data.toolcalls.task import load_toolcalls

__all__ = ["builtin_model", "has_splits", "load_prompts", "load_rlla", "load_toolcalls", "require_columns"]
