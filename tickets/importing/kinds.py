"""The kinds of changes that a file may ask for, in the words that people read."""

from __future__ import annotations

from collections.abc import Mapping

from dtvn.wording import counted

NEW, BARRED = "new", "barred"
KINDS = {
    "change": "changed",
    "holder": "with another guest",
    "replace": "with another code",
    "cancel": "cancelled since",
    "block": "blocked since",
    "entry": "entered elsewhere since",
    "gone": "gone from the file",
    BARRED: "left out by another file",
}
"""Kind of difference -> its words, in the order in which the operations of one ticket are sent."""
SHOWN_KINDS = {NEW: "new"} | KINDS
"""What of a file is shown and confirmed."""
UNASKED = frozenset(KINDS) - {"gone", BARRED}
"""The kinds that are ordered without a person, for a source that is trusted."""
MEANS = {
    NEW: "The ticket is added, and opens the door.",
    BARRED: "Another file of this event left these guests out, by a column that this file lacks. Tick only "
    "whom you know to have a ticket: it is added, and opens the door.",
    "change": "Product, seat and validity become those of the file.",
    "holder": "The name and address that are kept here become those of the file.",
    "replace": "The code in the file opens the door from now on; the one before is refused.",
    "cancel": "The ticket opens no door any more; the gate shows the status in the file as the reason.",
    "block": "The ticket opens no door any more; the gate shows the reason in the file.",
    "entry": "The guest counts as entered; the ticket does not open the door once more.",
    "gone": "The ticket opens no door any more; the reason is “no longer in the seller's file”. "
    "A part of a file, or a wrong row, looks the same: tick only what you know to be cancelled.",
}
"""SHOWN_KINDS -> what is done once it is confirmed."""
LEFT = {
    NEW: ("new ticket", "these guests are not found at the gate"),
    BARRED: ("ticket that another file left out", "these guests are not found at the gate"),
    "change": ("changed ticket", "the tickets stay as they were"),
    "holder": ("changed guest", "the names that are kept here stay"),
    "replace": ("replaced code", "the old codes still open the door"),
    "cancel": ("cancellation", "these guests still come in"),
    "block": ("block", "these guests still come in"),
    "entry": ("check-in", "these guests can enter once more"),
}
"""Kind -> its noun, and what holds if it is not ordered."""


def not_ordered(left: Mapping[str, int]) -> list[str]:
    """What could be ordered and was not confirmed, a sentence for each kind with its number. That tickets are
    gone is no order that was left out."""
    sentences = []
    for kind, (noun, so) in LEFT.items():
        if count := left.get(kind, 0):
            verb = "was" if count == 1 else "were"
            sentences.append(f"{counted(count, noun)} {verb} left out: {so}.")
    return sentences
