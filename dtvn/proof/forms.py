"""Decoding of bytes that must have one form, and the one sentence for those that do not.

Decoders differ in the detail that they report, but agree that the form is wrong. So every verifier reports
only this, and the decoder's own message is kept for programmers (`__cause__`).
"""

from __future__ import annotations

from typing import TypeVar

from dtvn.proof.errors import Code, ProofError
from dtvn.protocol import canonical

Value = TypeVar("Value")


def opened(kind: type[Value], data: bytes, what: str) -> Value:
    """Decodes `data` as a `kind`; raises ProofError about `what` unless it is canonical."""
    try:
        return canonical.decode(kind, data)
    except canonical.CanonicalError as error:
        raise no_form(what) from error


def no_form(what: str) -> ProofError:
    """The error for data that does not have the form of `what`, a noun after its article."""
    return ProofError(Code.MALFORMED, what.partition(" ")[2], f"{what} has not the form of one")
