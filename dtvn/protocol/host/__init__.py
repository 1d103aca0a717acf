"""The host: feeds one protocol core, persists its records, then sends its messages. Pure."""

from dtvn.protocol.host.endings import EpochOver, Halted, Installed, TurnLost
from dtvn.protocol.host.log_server import NOBODY, Fanout
from dtvn.protocol.host.own_clock import OwnClock
from dtvn.protocol.host.ports import Core
from dtvn.protocol.host.pump import CHECKS_MAX, INBOUND_MAX, Host

__all__ = [
    "CHECKS_MAX",
    "Core",
    "EpochOver",
    "Fanout",
    "Halted",
    "Host",
    "INBOUND_MAX",
    "Installed",
    "NOBODY",
    "OwnClock",
    "TurnLost",
]
