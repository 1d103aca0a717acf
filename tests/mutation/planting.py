"""Mutation of guards: each comparison of a module planted wrong in every way that a slip of the pen has, and
each key under which votes are counted without one of its fields.

A mutant is one function's code, compiled from its module's source with one expression changed, in place of
the function's own (`__code__`): modules that imported the function have the mutant too.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any

import msgspec

SLIPS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.NotEq),
    ast.LtE: (ast.Lt, ast.Eq),
    ast.Gt: (ast.GtE, ast.NotEq),
    ast.GtE: (ast.Gt, ast.Eq),
    ast.Eq: (ast.LtE, ast.GtE),
    ast.NotEq: (ast.Lt, ast.Gt),
}
"""What stands in place of a comparison: it is one off, or tells on one side alone."""
ASKING = {"any", "all", "isinstance"}
"""Functions whose call is a guard wherever it stands."""
KEYED = {"get", "setdefault", "pop", "add"}
"""Methods whose first argument is a key: what differs in no field of it counts as one."""


class Place(msgspec.Struct, frozen=True):
    """Where a mutant is, and what it changes."""

    module: str
    function: str
    """Qualified name."""
    change: str
    """`before -> after`, as source."""
    line: int

    @property
    def name(self) -> str:
        """What exceptions call it."""
        return f"{self.module}.{self.function}: {self.change}"


class Mutant(msgspec.Struct, frozen=True):
    """One function with one guard changed."""

    place: Place
    code: CodeType

    @property
    def name(self) -> str:
        """That of its place."""
        return self.place.name

    def plant(self) -> None:
        """The function is the mutant until this process ends."""
        _function(import_module(self.place.module), self.place.function).__code__ = self.code


def mutants_of(module: str, functions: frozenset[str] = frozenset()) -> Iterator[Mutant]:
    """Every mutant of a module's functions, or of those named. Raises LookupError if one of these is gone."""
    source = inspect.getsource(import_module(module))
    whole = ast.parse(source)
    if gone := functions - {name for name, _function in _functions(whole.body, "")}:
        raise LookupError(f"{module} has no {', '.join(sorted(gone))}")
    for function, guard in _guards(whole):
        if functions and function not in functions:
            continue
        for number, changed in enumerate(_changes(guard)):
            if ast.unparse(changed) == ast.unparse(guard):
                continue  # `while True`
            tree = ast.parse(source)
            place = next(found for name, found in _guards(tree) if name == function and _same(found, guard))
            wrong = list(_changes(place))[number]
            _Swap(place, wrong).visit(tree)
            code = _code(compile(ast.fix_missing_locations(tree), module, "exec"), function)
            change = f"{ast.unparse(guard)} -> {ast.unparse(changed)}"
            yield Mutant(Place(module, function, change, guard.lineno), code)


class _Swap(ast.NodeTransformer):
    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> Any:
        if node is self._old:
            return ast.copy_location(self._new, node)
        return self.generic_visit(node)


def _same(one: ast.expr, other: ast.expr) -> bool:
    return (one.lineno, one.col_offset, one.end_lineno, one.end_col_offset, type(one)) == (
        other.lineno,
        other.col_offset,
        other.end_lineno,
        other.end_col_offset,
        type(other),
    )


# --- where guards are -------------------------------------------------------------------------------


def _guards(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """(qualified name of its function, guard), each guard once."""
    for name, function in _functions(tree.body, ""):
        seen: set[ast.expr] = set()
        for node in ast.walk(function):
            for guard in (part for asked in _asked(node) for part in _parts(asked)):
                if guard not in seen:
                    seen.add(guard)
                    yield name, guard


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{node.name}.")


def _asked(node: ast.AST) -> Iterator[ast.expr]:
    """Expressions at this node whose truth decides something."""
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield test
        case ast.comprehension(ifs=ifs):
            yield from ifs
        case ast.Compare() | ast.BoolOp():
            yield node
        case ast.Call(func=ast.Name(id=name)) if name in ASKING:
            yield node
        case ast.Call(func=ast.Attribute(attr=name), args=[ast.Tuple() as key, *_]) if name in KEYED:
            yield key
        case ast.Assign(targets=[ast.Name(id="key")], value=ast.Tuple() as key):
            yield key


def _parts(guard: ast.expr) -> Iterator[ast.expr]:
    """What `and`, `or` and `not` join: an operand that is always true or always false is one dropped."""
    match guard:
        case ast.BoolOp(values=values):
            for value in values:
                yield from _parts(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _parts(operand)
        case _:
            yield guard


# --- what is done to them ---------------------------------------------------------------------------


def _changes(guard: ast.expr) -> Iterator[ast.expr]:
    if isinstance(guard, ast.Tuple):
        for place in range(len(guard.elts)):
            fields = [*guard.elts[:place], ast.Constant(0), *guard.elts[place + 1 :]]
            yield ast.Tuple(fields, ast.Load())
        return
    yield ast.Constant(True)
    yield ast.Constant(False)
    match guard:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for place, operator in enumerate(ops):
                for other in () if _is_word(comparators[place]) else SLIPS.get(type(operator), ()):
                    yield ast.Compare(left, [*ops[:place], other(), *ops[place + 1 :]], comparators)
            if len(ops) > 1:
                yield ast.Compare(left, ops[:-1], comparators[:-1])
                yield ast.Compare(comparators[0], ops[1:], comparators[1:])
            yield from _fewer_fields(guard)


def _is_word(compared: ast.expr) -> bool:
    """Strings have no order to mutate."""
    return isinstance(compared, ast.Constant) and isinstance(compared.value, str | bytes)


def _fewer_fields(guard: ast.Compare) -> Iterator[ast.expr]:
    """`(a, b) == known` without one of its fields."""
    match guard:
        case ast.Compare(left=ast.Tuple(elts=fields), comparators=[ast.Name() as known]):
            for place in range(len(fields)):
                same = ast.Subscript(known, ast.Constant(place), ast.Load())
                left = ast.Tuple([*fields[:place], same, *fields[place + 1 :]], ast.Load())
                yield ast.Compare(left, guard.ops, [known])
        case ast.Compare(left=ast.Tuple(elts=fields), comparators=[ast.Tuple(elts=others)]):
            for place in range(len(fields)):
                sides = [ast.Tuple([*s[:place], *s[place + 1 :]], ast.Load()) for s in (fields, others)]
                yield ast.Compare(sides[0], guard.ops, [sides[1]])


# --- where the mutant goes --------------------------------------------------------------------------


def _code(compiled: CodeType, function: str) -> CodeType:
    """The code object of a function inside its module's."""
    waiting = [compiled]
    while waiting:
        code = waiting.pop()
        if code.co_qualname == function:
            return code
        waiting += (each for each in code.co_consts if isinstance(each, CodeType))
    raise LookupError(function)


def _function(module: Any, name: str) -> FunctionType:
    found = module
    for part in name.split("."):
        found = vars(found)[part]
    found = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
    found = inspect.unwrap(found)
    assert isinstance(found, FunctionType), name
    return found
