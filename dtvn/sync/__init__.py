"""State that no log orders, kept alike by peers (R46): signed items and one exchange. Pure."""

from dtvn.sync.carried import CarriedStore
from dtvn.sync.clock import AHEAD_US_MAX, HybridClock
from dtvn.sync.exchange import Outcome
from dtvn.sync.item import Item, ItemError, checked, digest_of, replaces, sign
from dtvn.sync.messages import MESSAGE_BYTES_MAX, SyncError
from dtvn.sync.sessions import Session, Sessions
from dtvn.sync.store import AUTHOR_ITEMS_MAX, Kind, Store, Taken
from dtvn.sync.tree import Tree
from dtvn.sync.views import ConflictResolution, Resolver, View, check_value, checksum_of, value_bytes, view_of

__all__ = [
    "AHEAD_US_MAX",
    "AUTHOR_ITEMS_MAX",
    "MESSAGE_BYTES_MAX",
    "CarriedStore",
    "ConflictResolution",
    "HybridClock",
    "Item",
    "ItemError",
    "Kind",
    "Outcome",
    "Resolver",
    "Session",
    "Sessions",
    "Store",
    "SyncError",
    "Taken",
    "Tree",
    "View",
    "check_value",
    "checked",
    "checksum_of",
    "digest_of",
    "replaces",
    "sign",
    "value_bytes",
    "view_of",
]
