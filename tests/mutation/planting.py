"""Generated mutants: the slips that a programmer makes, one at a time, in functions of the product.

A mutant is planted in the running process: the functions of its file get the code of the changed source
(`__code__`), so modules that imported one of them have the mutant too. What runs at import time (tables,
fields, decorators) is not changed, nor are messages of errors.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

import msgspec

ROOT = Path(__file__).resolve().parents[2]

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NO_CODE = {"annotation", "returns", "decorator_list", "type_comment", "args"}


class Mutant(msgspec.Struct, frozen=True, order=True):
    """One slip in one file of the product."""

    path: str
    """Relative to the root of the checkout."""
    line: int
    index: int
    """Which of the file's slips, as `slips` counts them."""
    change: str
    """`before -> after`, as source."""


def slips(path: str) -> list[Mutant]:
    """Every mutant of a file, in the order of its source."""
    text = (ROOT / path).read_text(encoding="utf-8")
    found = []
    for index, node in enumerate(_points(ast.parse(text))):
        before, line = ast.unparse(node), node.lineno
        found.append(Mutant(path, line, index, f"{_short(before)} -> {_short(ast.unparse(_slip(node)))}"))
    return found


def plant(mutant: Mutant) -> int:
    """Change the functions of this process; return how many. They stay changed until the process ends."""
    file = str(ROOT / mutant.path)
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    _slip(list(_points(tree))[mutant.index])
    changed = {
        (code.co_qualname, code.co_firstlineno): code
        for code in _codes(compile(ast.fix_missing_locations(tree), file, "exec"))
    }
    planted = 0
    for function in gc.get_objects():
        if type(function) is FunctionType and function.__code__.co_filename == file:
            code = changed.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
            if code is not None and len(code.co_freevars) == len(function.__code__.co_freevars):
                function.__code__ = code
                planted += 1
    return planted


def _points(tree: ast.AST, *, inside: bool = False) -> Iterator[ast.expr | ast.stmt]:
    """The nodes inside functions at which a slip can be made."""
    inside = inside or isinstance(tree, FUNCTIONS)
    for field, value in ast.iter_fields(tree):
        if field in NO_CODE and (field != "args" or isinstance(tree, FUNCTIONS)):
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or isinstance(node, ast.Raise):
                continue
            if inside and isinstance(node, ast.expr | ast.stmt) and _can_slip(node):
                yield node
            yield from _points(node, inside=inside)


def _can_slip(node: ast.AST) -> bool:
    match node:
        case ast.Compare(ops=[operator]):
            return type(operator) in COMPARISONS
        case ast.BinOp(left=left, op=operator):
            return type(operator) in ARITHMETIC and not isinstance(left, ast.JoinedStr)
        case ast.UnaryOp(op=operator):
            return isinstance(operator, ast.Not)
        case ast.Return(value=ast.Constant(value=value)):
            return isinstance(value, bool)
        case ast.Assign(targets=[target, *_]):
            return isinstance(target, ast.Attribute)
        case ast.Constant(value=value):
            return type(value) is int and 0 <= value <= 2
        case ast.Expr(value=value):
            return isinstance(value, ast.Call)
    return isinstance(node, ast.BoolOp | ast.If | ast.AugAssign)


def _slip(node: ast.expr | ast.stmt) -> ast.AST:
    """Change a node in place; return what stands there now."""
    match node:
        case ast.Compare(ops=[operator]):
            node.ops = [COMPARISONS[type(operator)]()]
        case ast.BoolOp(op=operator):
            node.op = ast.Or() if isinstance(operator, ast.And) else ast.And()
        case ast.BinOp(op=operator):
            node.op = ARITHMETIC[type(operator)]()
        case ast.UnaryOp(operand=operand):
            node.op, node.operand = ast.UAdd(), ast.Call(ast.Name("bool", ast.Load()), [operand], [])
        case ast.If():
            node.test = ast.Constant(False)
        case ast.Constant(value=int(value)):
            node.value = value + 1
        case ast.Return(value=ast.Constant(value=value)):
            node.value = ast.Constant(not value)
        case _:
            node.__class__ = ast.Pass  # type: ignore[assignment]  # the statement is gone
    return node


def _codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


def _short(source: str) -> str:
    line = " ".join(source.split())
    return line if len(line) <= 90 else line[:87] + "..."
