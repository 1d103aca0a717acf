"""What a stream of agent events means to its readers: messages, tool calls with their results, the final
state, how each run ended. Ids, timestamps and how texts were cut into events mean nothing. Pure."""

from dtvn.events.meaning.conversation import NotFollowed
from dtvn.events.meaning.differing import ABSENT, Difference, differences
from dtvn.events.meaning.folding import Folding
from dtvn.events.meaning.items import Item, Meaning

__all__ = ["Folding", "Meaning", "Item", "Difference", "differences", "ABSENT", "NotFollowed"]
