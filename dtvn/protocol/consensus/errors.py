"""The one error that a replica raises: its own state is inconsistent. No input of a peer can
cause it while at most f members are faulty."""

from __future__ import annotations


class InvariantBreach(Exception):
    """This replica must stop: its votes contradict each other, the log forked, or its state differs from
    the one that q members signed."""
