"""What a stream of agent events means to its readers: messages, tool calls with their results, the final
state, how each run ended. Ids, timestamps and how texts were cut into events mean nothing. Pure."""

from dtvn.events.advice import STATE_BYTES
from dtvn.events.meaning.aligning import Aligner
from dtvn.events.meaning.differing import ABSENT, Difference, differences
from dtvn.events.meaning.folding import Folding, NotRead
from dtvn.events.meaning.followed import NOT_FOLLOWED
from dtvn.events.meaning.items import Item, Meaning
from dtvn.events.meaning.json_values import DEPTH

__all__ = [
    "Folding",
    "Meaning",
    "Item",
    "Difference",
    "differences",
    "ABSENT",
    "NOT_FOLLOWED",
    "STATE_BYTES",
    "DEPTH",
    "NotRead",
    # Also for texts, by their words.
    "Aligner",
]
