"""What a file is that was handed to a step, told by its first bytes: a wrong one is named as what it is."""

from __future__ import annotations

import re

from tickets.proof.continuation import FORMAT as CERTIFIED_STATE
from validators.ceremony import CONTINUED_FORMAT
from validators.ceremony import FORMAT as GENESIS

__all__ = ["CERTIFIED_STATE", "HEAD_BYTES", "PLAN", "SEALED", "SIGNED", "STATE", "not_wanted", "what_is"]

STATE, PLAN, SIGNED, SEALED = (f"dtvn-recovery-{kind}-1" for kind in ("state", "plan", "signed", "sealed"))

HEAD_BYTES = 256
"""As many first bytes tell every kind."""

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
    """What begins with these bytes, as the end of a sentence `FILE is ...`."""
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
    """Why a file that begins with these bytes is none of format `wanted`, behind its name. `why`: what its
    reader says."""
    kind, maker = _KINDS[wanted]
    found = what_is(head)
    if found == kind:
        return f"is {kind}, but damaged ({why})."
    return f"is {found}; wanted is {kind}, which `{maker}` writes."
