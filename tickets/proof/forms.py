"""Bytes that must be of one form, and the one sentence for those that are not.

What exactly a reader stumbled over differs from reader to reader; that the form is wrong does not. So every
verifier says just this, and the reader's own words are kept for programmers only (`__cause__`).
"""

from __future__ import annotations

from typing import TypeVar

from tickets.proof.errors import ProofError
from validators import canonical

__all__ = ["no_form", "opened"]

Value = TypeVar("Value")


def opened(kind: type[Value], data: bytes, what: str) -> Value:
    """`data` as a `kind`; raise ProofError about `what` unless it is its canonical form."""
    try:
        return canonical.decode(kind, data)
    except canonical.CanonicalError as error:
        raise no_form(what) from error


def no_form(what: str) -> ProofError:
    """Not the form of what it should be."""
    return ProofError(f"{what} has not the form of one")
