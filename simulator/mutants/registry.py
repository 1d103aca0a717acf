"""Planted bugs: small named changes of the product's own code that exist only while a world plays.

The product has no switch for them. A mutant replaces attributes of the core's classes and modules inside
`planted(name)` and puts them back afterwards. Each names the rule that it breaks
(R or P in docs/understand/protocol/rules.md), and the world and seed in which a checker notices it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec


class Plant:
    """Replaces attributes and remembers their original values."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Replace `owner.name` by `value` until the world ends. Raises KeyError if the attribute does not
        exist."""
        self._before.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def dig_out(self) -> None:
        """Restore all attributes."""
        while self._before:
            owner, name, value = self._before.pop()
            setattr(owner, name, value)


class Mutant(msgspec.Struct, frozen=True):
    """One planted bug."""

    name: str
    rule: str
    """The rules that it breaks: `R7`, `P3` or both."""
    sentence: str
    """The wrong behaviour, in words."""
    world: str
    seed: int
    change: Callable[[Plant], None]


MUTANTS: dict[str, Mutant] = {}


def mutant(name: str, rule: str, *, world: str = "random", seed: int = 0) -> Callable[[Any], Any]:
    """Register a function as a mutant; its docstring is the sentence."""

    def register(change: Callable[[Plant], None]) -> Callable[[Plant], None]:
        if name in MUTANTS:
            raise ValueError(f"two mutants are called {name}")
        sentence = " ".join((change.__doc__ or "").split())
        MUTANTS[name] = Mutant(name, rule, sentence, world, seed, change)
        return change

    return register


def replaces(
    owner: Any, attribute: str, name: str, rule: str, *, world: str = "random", seed: int = 0
) -> Callable[[Any], Any]:
    """Register a function as a mutant that is called instead of `owner.attribute`, with the right function
    before its arguments; its docstring is the sentence. Raises KeyError if the attribute does not exist."""
    vars(owner)[attribute]

    def register(wrong: Callable[..., Any]) -> Callable[..., Any]:
        def change(plant: Plant) -> None:
            plant.put(owner, attribute, _instead(vars(owner)[attribute], wrong))

        change.__doc__ = wrong.__doc__
        mutant(name, rule, world=world, seed=seed)(change)
        return wrong

    return register


def _instead(right: Callable[..., Any], wrong: Callable[..., Any]) -> Callable[..., Any]:
    """A function, for it is looked up on a class too."""
    return lambda *arguments, **options: wrong(right, *arguments, **options)


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plants this bug while the block runs; "" plants none. Raise KeyError for an unknown name."""
    plant = Plant()
    try:
        if name:
            MUTANTS[name].change(plant)
        yield
    finally:
        plant.dig_out()
