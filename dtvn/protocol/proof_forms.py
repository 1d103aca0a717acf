"""Decoding of bytes that must have one form, and the one sentence for those that do not.

Decoders differ in the detail that they report, but agree that the form is wrong. So every verifier reports
only this, and the decoder's own message is kept for programmers (`__cause__`).
"""

from __future__ import annotations

import re
from typing import TypeVar

from dtvn.protocol import canonical
from dtvn.protocol.proof_errors import Code, ProofError

Value = TypeVar("Value")

UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that a terminal or a page might interpret instead of showing them."""
SHOWN_MAX = 128


def opened(kind: type[Value], data: bytes, what: str) -> Value:
    """Decodes `data` as a `kind`; raises ProofError about `what` unless it is canonical."""
    try:
        return canonical.decode(kind, data)
    except canonical.CanonicalError as error:
        raise no_form(what) from error


def no_form(what: str) -> ProofError:
    """The error for data that does not have the form of `what`, a noun after its article."""
    return ProofError(Code.MALFORMED, what.partition(" ")[2], f"{what} has not the form of one")


def shown(text: str) -> str:
    """A text of a certificate, safe to show: bounded, and without characters that a terminal interprets."""
    return UNSHOWN.sub("?", text[:SHOWN_MAX])
