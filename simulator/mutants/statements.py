"""A statement is identified by its content, not by its bytes: R4, P12. These bugs make a difference only
where signatures are malleable."""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import Door, Ordering, Reason, SlotRecord, canonical, restore


def heard_again(plant: Plant, name: str) -> None:
    """A second statement of a sender is not refused unread."""
    refuse = getattr(Ordering, name)

    def unless_second(self: Ordering, message: Any, link: int | None) -> Reason | None:
        reason: Reason | None = refuse(self, message, link)
        return None if reason is Reason.SECOND_MESSAGE else reason

    plant.put(Ordering, name, unless_second)


@replaces(restore, "_restore_slot", "signs-anew-after-restart", "R4", world="malleable-signatures")
def signs_anew(right: Any, core: Any, record: SlotRecord) -> None:
    """A restarted replica signs its votes once more instead of sending the frames that it kept."""
    signer = core.state.signer
    said = signer.open(record.frames[0]).message
    if said.sender == core.state.index:
        record = msgspec.structs.replace(record, frames=(signer.sign(said), *record.frames[1:]))
    right(core, record)


@replaces(Door, "_verified", "statement-identified-by-bytes", "R4 P12", world="malleable-signer", seed=6)
def known_by_bytes(right: Any, self: Door, peer: Any, message: Any, envelope: Any, frame: bytes) -> Any:
    """The digest that identifies a statement covers its signature too."""
    verified = right(self, peer, message, envelope, frame)
    return msgspec.structs.replace(verified, body_digest=canonical.digest(verified.frame))


@mutant("two-forms-are-two-votes", "P12", world="malleable-signer")
def two_votes(plant: Plant) -> None:
    """A COMMIT in another form counts in addition to the one that its sender gave before."""
    on_commit = Ordering.on_commit

    def mutant(self: Ordering, verified: Any) -> None:
        message, slot = verified.message, self.state.log.slots.get(verified.message.sequence)
        votes = slot.commits.votes if slot is not None and slot.view == message.view else {}
        first = votes.get(message.sender)
        if slot is None or first is None or first.digest != message.digest:
            on_commit(self, verified)
        elif all(vote.frame != verified.frame for vote in votes.values()):
            self._count_commit(slot, self.state.n + len(votes), message.digest, verified.frame)

    heard_again(plant, "refuse_commit")
    plant.put(Ordering, "on_commit", mutant)


@mutant("two-forms-are-a-lie", "P12", world="malleable-signer")
def two_forms_convict(plant: Plant) -> None:
    """A PREPARE in another form is evidence against its sender."""
    on_prepare = Ordering.on_prepare

    def mutant(self: Ordering, verified: Any) -> None:
        slot = self.state.log.slots.get(verified.message.sequence)
        vote = None if slot is None else slot.prepares.votes.get(verified.message.sender)
        if vote is None or vote.frame != verified.frame:
            on_prepare(self, verified)

    heard_again(plant, "refuse_prepare")
    plant.put(Ordering, "on_prepare", mutant)
