"""Every small change of a Python file that its tests should notice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
TWINS = {"any": "all", "min": "max", "amin": "amax", "argmin": "argmax", "sum": "mean", "floor": "ceil"}
TWINS |= {twin: name for name, twin in TWINS.items()}
REMOVABLE = ("abs", "clamp", "clip", "nan_to_num", "masked_fill", "clone")
"""Methods that hand on a tensor much like their own."""


@dataclass(frozen=True)
class Mutation:
    """One change of one file."""

    line: int
    kind: str
    source: str
    """The whole file after it."""


def mutations(source: str) -> list[Mutation]:
    """Every change of one comparison, operator, constant, condition, call or return value, in the order of the file."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = {}
    for node, kind, replacement in _changes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        data = source.encode()
        changed = (data[:start] + replacement.encode() + data[end:]).decode()
        try:
            compile(changed, "mutant", "exec")
        except SyntaxError:  # in a pattern, say, where only literals may stand
            continue
        found.setdefault(changed, (start, Mutation(node.lineno, kind, changed)))
    return [mutation for _, mutation in sorted(found.values(), key=lambda entry: entry[0])]


def _changes(node: ast.AST) -> Iterator[tuple[Any, str, str]]:
    """Nodes, what is changed in them, and the text that takes their place."""
    yield from _changes_here(node)
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _is_beside_the_point(node, name, child):
                continue
            if name in ("annotation", "returns"):  # the ranges of options, not the types
                for call in (part for part in ast.walk(child) if isinstance(part, ast.Call)):
                    yield from _changes(call)
            else:
                yield from _changes(child)


def _is_beside_the_point(parent: ast.AST, field: str, child: ast.AST) -> bool:
    """What no test of behaviour can see: decorators, messages, types, imports for type checkers."""
    if isinstance(child, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
        return True
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True
    return field == "decorator_list" or (isinstance(parent, ast.Assign) and _is_type_alias(child))


def _is_type_alias(value: ast.AST) -> bool:
    names = ("Literal", "Callable", "Mapping", "Sequence", "Annotated")
    return any(isinstance(part, ast.Subscript) and ast.unparse(part.value) in names for part in ast.walk(value))


def _changes_here(node: ast.AST) -> Iterator[tuple[Any, str, str]]:
    match node:
        case ast.Compare():
            for index, old in enumerate(node.ops):
                for new in COMPARISONS[type(old)]:
                    ops = [*node.ops[:index], new(), *node.ops[index + 1 :]]
                    yield node, "comparison", f"({ast.unparse(ast.Compare(node.left, ops, node.comparators))})"
            for side in (node.left, *node.comparators):
                if isinstance(side, ast.Constant) and isinstance(side.value, str):
                    yield side, "constant", repr(side.value + " mutated")
        case ast.BinOp() if type(node.op) in OPERATORS and not _is_text(node):
            changed = ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
            yield node, "operator", f"({ast.unparse(changed)})"
        case ast.AugAssign() if type(node.op) in OPERATORS and not _is_text(node.value):
            changed = ast.AugAssign(node.target, OPERATORS[type(node.op)](), node.value)
            yield node, "operator", ast.unparse(changed)
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield node, "and/or", f"({ast.unparse(ast.BoolOp(other, node.values))})"
        case ast.UnaryOp() if not isinstance(node.operand, ast.Constant):  # -1 and 1 are often the same dimension
            yield node, f"removed {type(node.op).__name__}", f"({ast.unparse(node.operand)})"
        case ast.Constant(value=bool(value)):
            yield node, "boolean", str(not value)
        case ast.Constant(value=int(value)):
            yield node, "constant", str(value + 1)
            if value:
                yield node, "constant", str(value - 1)
        case ast.Constant(value=float(value)):
            yield node, "constant", repr(value * 2 if value else 1.0)
        case ast.If() | ast.IfExp() | ast.While():
            yield node.test, "condition", "True" if not isinstance(node, ast.While) else "False"
            if not isinstance(node, ast.While):
                yield node.test, "condition", "False"
        case ast.comprehension():
            for test in node.ifs:
                yield test, "condition", "True"
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield node, "return value", "return None"
        case ast.Expr(value=ast.Call()):
            yield node, "removed call", "pass"
        case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in TWINS:
            changed = ast.Call(ast.Attribute(inner, TWINS[name]), node.args, node.keywords)
            yield node, "function", ast.unparse(changed)
        case ast.Call(func=ast.Name(id=name)) if name in ("any", "all", "min", "max"):
            yield node, "function", ast.unparse(ast.Call(ast.Name(TWINS[name]), node.args, node.keywords))
        case ast.Call(func=ast.Name(id="abs"), args=[argument]):
            yield node, "removed abs", f"({ast.unparse(argument)})"
        case _:
            pass
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in REMOVABLE:
            if ast.unparse(inner) != "torch":
                yield node, f"removed {name}", f"({ast.unparse(inner)})"
            elif node.args:
                yield node, f"removed {name}", f"({ast.unparse(node.args[0])})"
        case _:
            pass


def _is_text(node: ast.AST) -> bool:
    """Whether a sum joins or formats texts: a message, which tests quote in part."""
    parts = [part for part in ast.walk(node) if isinstance(part, ast.Constant | ast.JoinedStr)]
    return any(isinstance(part, ast.JoinedStr) or isinstance(part.value, str) for part in parts)
