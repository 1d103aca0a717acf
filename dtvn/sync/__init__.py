"""State that no log orders, kept alike by peers (R46): signed items, one exchange, four protocols. Pure."""

from dtvn.sync.answering import Settings
from dtvn.sync.carried import CarriedStore
from dtvn.sync.clock import HybridClock
from dtvn.sync.item import Item, ItemError, checked, digest_of, replaces, sign
from dtvn.sync.messages import MESSAGE_BYTES_MAX, SyncError
from dtvn.sync.packing import take_all
from dtvn.sync.protocols import Outcome, SyncProtocol
from dtvn.sync.sessions import Session, Sessions
from dtvn.sync.store import Kind, Store, Taken
from dtvn.sync.tree import Tree
from dtvn.sync.views import ConflictResolution, Resolver, View, check_value, checksum_of, value_bytes, view_of

__all__ = [
    "MESSAGE_BYTES_MAX",
    "CarriedStore",
    "ConflictResolution",
    "HybridClock",
    "Item",
    "ItemError",
    "Kind",
    "Outcome",
    "SyncProtocol",
    "Resolver",
    "Session",
    "Sessions",
    "Settings",
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
    "take_all",
    "value_bytes",
    "view_of",
]
