"""Recognises the kind of an input file by its first bytes, so that the error for a wrong file names its
kind."""

from __future__ import annotations

import re

from dtvn.proof.continuation import FORMAT as CERTIFIED_STATE
from dtvn.protocol.genesis.ceremony import CONTINUED_FORMAT
from dtvn.protocol.genesis.ceremony import FORMAT as GENESIS

__all__ = ["CERTIFIED_STATE", "HEAD_BYTES", "PLAN", "SEALED", "SIGNED", "STATE", "not_wanted", "what_is"]

STATE, PLAN, SIGNED, SEALED = (f"dtvn-recovery-{kind}-1" for kind in ("state", "plan", "signed", "sealed"))

HEAD_BYTES = 256
"""Number of first bytes that identify every kind."""

_KINDS = {
    STATE: ("a member's statement", "genesis recover state"),
    PLAN: ("a plan", "genesis recover plan"),
    SIGNED: ("a member's signature", "genesis recover sign"),
    SEALED: ("a sealed recovery", "genesis recover seal"),
    CERTIFIED_STATE: ("the certified state of a cluster", "genesis continue save"),
}
_OTHERS = {
    GENESIS: "a genesis",
    CONTINUED_FORMAT: "a genesis",
    '"certificate"': "a certificate",
    "dtvn-certificate/1": "a certificate",
    '"chain"': "an epoch chain",
    "dtvn-chain/1": "an epoch chain",
    '"evidence"': "a piece of evidence",
    "dtvn-evidence/1": "a piece of evidence",
}
_NAMES = {name: kind for name, (kind, _maker) in _KINDS.items()} | _OTHERS
_BARE_GENESIS = re.compile(rb"[\x97\x98](?:[\xa1-\xbf]|\xd9.)", re.DOTALL)
_KEY = re.compile(rb"[0-9a-fA-F]{64}\s")


def what_is(head: bytes) -> str:
    """Describes a file with these first bytes, as the end of the sentence `FILE is ...`."""
    if not head:
        return "empty"
    places = {head.find(name.encode("ascii"), 0, HEAD_BYTES): kind for name, kind in _NAMES.items()}
    if found := sorted(place for place in places if place >= 0):
        return places[found[0]]
    if _BARE_GENESIS.match(head):
        return "a genesis"
    if _KEY.match(head):
        return "a secret key, which never leaves its host"
    return "of no kind that is known here"


def not_wanted(head: bytes, wanted: str, why: str) -> str:
    """Why a file with these first bytes is not of format `wanted`, as a text that follows the file's name.
    `why`: the reader's error message."""
    kind, maker = _KINDS[wanted]
    found = what_is(head)
    if found == kind:
        return f"is {kind}, but damaged ({why})."
    return f"is {found}; wanted is {kind}, which `{maker}` writes."
