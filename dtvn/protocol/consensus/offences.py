"""The table of all suspicion codes and their sentences (docs/understand/protocol/suspicions.md).

Most refusals are ordinary noise of a network: a message came late, or early. An honest member never causes
a `grave` one. No refusal convicts its sender; only evidence does (`evidence.SENTENCES`).
"""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus.effects import Reason


class Offence(msgspec.Struct, frozen=True):
    """One suspicion code."""

    code: str
    sentence: str
    grave: bool
    """Whether no honest member, however late, causes it."""


_ALL = (
    (Reason.NOT_MEMBER, "spoke as a member of this epoch without being one", True),
    (Reason.WRONG_EPOCH, "spoke in another epoch", False),
    (Reason.WRONG_KIND, "sent a kind of message that it may not send", True),
    (Reason.OLD_VIEW, "spoke in a view that was left", False),
    (Reason.FUTURE_VIEW, "spoke in a view too far ahead to be kept", False),
    (Reason.OUTSIDE_WINDOW, "spoke of a sequence outside the open window", False),
    (Reason.DECIDED, "spoke of a sequence that is decided", False),
    (Reason.SECOND_MESSAGE, "said the same a second time", False),
    (Reason.EQUIVOCATION, "named another batch for a sequence that is decided", True),
    (Reason.NOT_PRIMARY, "proposed in a view that it does not lead", True),
    (Reason.FROM_PRIMARY, "prepared its own proposal", True),
    (Reason.VIEW_INACTIVE, "spoke in a view that is being left", False),
    (Reason.BAD_BATCH, "sent a batch that is malformed or not the one it signed", True),
    (Reason.BAD_TIMESTAMP, "proposed a time too far from this node's clock", False),
    (Reason.STATE_BEHIND, "proposed an empty batch before this node knew whether one is due", False),
    (Reason.DUPLICATE_REQUEST, "proposed a request that was executed", False),
    (Reason.BAD_PROOF, "sent a certificate that proves nothing", True),
    (Reason.UNKNOWN_SESSION, "sent a bundle of a session that is not known", False),
    (Reason.OUTSIDE_SESSION_WINDOW, "sent a bundle with a number outside its session's window", False),
    (Reason.EXPIRED, "sent operations whose time was over", False),
    (Reason.EPOCH_ENDS, "proposed above what may end the epoch", False),
    (Reason.BUSY, "sent more than this node takes", False),
    (Reason.NOT_ASKED, "supplied something that was not requested", False),
    (Reason.FOLLOWER, "asked a follower to vote, or voted as one", False),
    (Reason.OTHER_PROCESS, "sent from a process of a member of which another one is heard", False),
    (Reason.BAD_CHUNK, "supplied a part of the state that is not the certified one", True),
    (Reason.MALFORMED, "sent bytes that are not a message", True),
    (Reason.TOO_LARGE, "sent more bytes than a message may have", True),
    (Reason.BAD_SIGNATURE, "sent a signature that does not fit", True),
    (Reason.UNKNOWN_SENDER, "sent something signed by a key that is not known", False),
)
OFFENCES: dict[str, Offence] = {
    reason.value: Offence(reason.value, sentence, grave) for reason, sentence, grave in _ALL
}


def offence_of(code: str) -> Offence:
    """The offence with this code; a code of a newer program is returned without its sentence."""
    return OFFENCES.get(code) or Offence(code, "did something that this version does not describe", False)
