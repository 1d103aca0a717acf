"""Advice about streams of AG-UI events: what the rules accept and a client or a maintainer would not like,
and what to do about what they refuse. Pure; no vote covers it."""

from dtvn.events.advice.adviser import NOTHING, PLAIN, Adviser, Told
from dtvn.events.advice.followed_state import STATE_BYTES
from dtvn.events.advice.json_patch import NOT_JSON, Document, TooLarge, pointer
from dtvn.events.advice.profiles import CLIENT, CODES, SEED, Profile, chosen, codes_of

__all__ = [
    "Adviser",
    "Told",
    "NOTHING",
    "PLAIN",
    "Profile",
    "chosen",
    "codes_of",
    "CODES",
    "SEED",
    "CLIENT",
    # A document that patches change, for those who follow a stream too.
    "Document",
    "TooLarge",
    "NOT_JSON",
    "STATE_BYTES",
    "pointer",
]
