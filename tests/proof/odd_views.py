"""VIEW-CHANGEs and NEW-VIEWs, honest and crooked, and what evidence of them must be found to be.

Everything is really signed, by the four members of a cluster whose second epoch begins after sequence `BASE`.
Fields are given one by one, so that anything at all may stand where it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from nacl import bindings

from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.wire import decode_envelope
from dtvn.protocol.wire.envelope import encode_envelope, signed_bytes
from tests.host.support import key_pair
from tests.proof.support import PaperLog

LOG = PaperLog()
LOG.fill(3)
LOG.change(leaves="r1", joins="r5")
BASE = len(LOG.steps)
CHAINS = {"short": g.encode(LOG.genesis), "long": LOG.chain()}
ONE, TWO = bytes([1]) * 32, bytes([2]) * 32
REACH = 2**20 + 1
"""Sequences above its checkpoint that a certificate may be of."""
ROOM = 65_536
"""Statements that a verifier reads in one message."""
NOISE = b"noise"


class Case(NamedTuple):
    """Evidence and its verdict: `convicted`, or the answer's name in tests/proof/test_evidence_views.py."""

    name: str
    verdict: str
    frames: Sequence[bytes]
    chain: str = "short"


def say(kind: int, *fields: Any, by: str = "", attachment: bytes = b"", cut: int = 64) -> bytes:
    """A frame of these fields, signed by whom they name or by `by`; `cut`: bytes of the signature kept."""
    body = canonical.encode(fields)
    secret = key_pair(by or LOG.epochs[fields[0]][fields[1]])[1]
    signature = bindings.crypto_sign(signed_bytes(LOG.cluster, kind, body), secret)[:cut]
    return encode_envelope(kind, body, signature, attachment)


def proposal(
    view: int, sequence: int, digest: bytes = ONE, sender: int | None = None, epoch: int = 0, **more: Any
) -> bytes:
    """The primary's PRE-PREPARE."""
    return say(16, epoch, view % 4 if sender is None else sender, view, sequence, digest, **more)


def prepare(sender: int, view: int, sequence: int, digest: bytes = ONE, epoch: int = 0, **more: Any) -> bytes:
    return say(17, epoch, sender, view, sequence, digest, **more)


def checkpoint(
    sender: int,
    sequence: int = 5,
    state: bytes = ONE,
    log: bytes = TWO,
    time: int = 7,
    epoch: int = 0,
    **more: Any,
) -> bytes:
    return say(19, epoch, sender, sequence, state, log, time, **more)


def proof(view: int, sequence: int, digest: bytes = ONE, epoch: int = 0) -> list[Any]:
    """A prepared certificate as it should be."""
    backups = [sender for sender in range(4) if sender != view % 4][:2]
    prepares = [prepare(sender, view, sequence, digest, epoch) for sender in backups]
    return [proposal(view, sequence, digest, epoch=epoch), prepares]


def stable(sequence: int = 5, epoch: int = 0) -> list[bytes]:
    """A checkpoint certificate as it should be."""
    return [checkpoint(sender, sequence, epoch=epoch) for sender in range(3)]


def change(
    checkpoints: Sequence[bytes] = (),
    *proofs: Any,
    sender: int = 1,
    view: int = 3,
    epoch: int = 0,
    **more: Any,
) -> bytes:
    """A VIEW-CHANGE."""
    return say(21, epoch, sender, view, list(checkpoints), list(proofs), **more)


def digest_of(frame: bytes) -> bytes:
    """How a NEW-VIEW names a VIEW-CHANGE."""
    return sha256(bytes([21]) + decode_envelope(frame)[0].body).digest()


def named(*frames: bytes) -> list[tuple[int, bytes]]:
    return [(decode_envelope(frame)[1].sender, digest_of(frame)) for frame in frames]


# --- VIEW-CHANGEs -----------------------------------------------------------------------------------


def honest_changes() -> Iterator[tuple[str, bytes]]:
    """What an honest member may send, and some more that proves what it claims."""
    yield "nothing prepared, no checkpoint", change()
    yield (
        "certificates of two views with a hole between, above a checkpoint",
        change(stable(), proof(0, 6), proof(2, 8)),
    )
    yield "the first sequence", change([], proof(0, 1))
    yield "the first sequence is a checkpoint", change(stable(1), proof(0, 2))
    yield "the highest sequence in reach", change(stable(), proof(0, 5 + REACH))
    yield "CHECKPOINTs in another order", change(stable()[::-1])
    yield "something hung on its envelope", change(stable(), attachment=NOISE)


def honest_later_changes() -> Iterator[tuple[str, bytes]]:
    """The same in the second epoch."""
    yield "nothing prepared in the second epoch", change(epoch=1)
    yield "the first sequence of the second epoch", change([], proof(0, BASE + 1, epoch=1), epoch=1)
    yield "the highest one in reach of its beginning", change([], proof(0, BASE + REACH, epoch=1), epoch=1)
    yield "a checkpoint of the second epoch", change(stable(9, epoch=1), proof(2, 10, epoch=1), epoch=1)


def odd_checkpoints() -> Iterator[tuple[str, list[bytes]]]:
    """Invalid checkpoint certificates."""
    first, second, third = stable()
    yield "one CHECKPOINT too few", [first, second]
    yield "one CHECKPOINT too many", [first, second, third, checkpoint(3)]
    yield "a CHECKPOINT twice", [first, second, second]
    yield "two CHECKPOINTs of one member", [first, second, third, checkpoint(2, time=8)]
    yield "another sequence", [first, second, checkpoint(2, 6)]
    yield "another state", [first, second, checkpoint(2, state=TWO)]
    yield "another log", [first, second, checkpoint(2, log=ONE)]
    yield "another time", [first, second, checkpoint(2, time=8)]
    yield "a checkpoint before the first sequence", stable(0)
    yield "a COMMIT as CHECKPOINT", [first, second, say(18, 0, 2, 0, 5, ONE)]
    yield "a VIEW-CHANGE as CHECKPOINT", [first, second, change()]
    yield "a CHECKPOINT signed by another", [first, second, checkpoint(2, by="r3")]
    yield "a CHECKPOINT of a member that never was", [first, second, checkpoint(4, by="r3")]
    yield "a CHECKPOINT with half a signature", [first, second, checkpoint(2, cut=32)]
    yield "a CHECKPOINT with something hung on it", [first, second, checkpoint(2, attachment=NOISE)]
    yield "noise", [first, second, NOISE]
    yield "nothing at all", [first, second, b""]
    yield "a CHECKPOINT with a field too many", [first, second, say(19, 0, 2, 5, ONE, TWO, 7, 1)]
    yield "a CHECKPOINT with half a hash", [first, second, checkpoint(2, state=ONE[:16])]
    yield "a negative time", [first, second, checkpoint(2, time=-1)]
    yield "a time beyond all times", [first, second, checkpoint(2, time=2**62 + 1)]
    yield "a text for an envelope", [first, second, canonical.encode("text")]
    yield "an envelope of three", [first, second, canonical.encode((19, b"", b""))]
    yield "an envelope around a number", [first, second, canonical.encode((19, 1, b"", b""))]
    yield "a kind that is none", [first, second, encode_envelope(200, canonical.encode(()), b"")]
    yield "a VIEW-CHANGE of numbers as CHECKPOINT", [first, second, say(21, 0, 1, 1, 5, 5)]


def odd_proofs() -> Iterator[tuple[str, list[Any]]]:
    """Invalid prepared certificates, in a VIEW-CHANGE for view 3 above sequence 5."""
    said, (one, two) = proof(0, 6)
    yield "one PREPARE too few", [[said, [one]]]
    yield "no PREPARE", [[said, []]]
    yield "one PREPARE too many", [[said, [one, two, prepare(3, 0, 6)]]]
    yield "a PREPARE twice", [[said, [one, one]]]
    yield "a PREPARE of the primary", [[said, [one, prepare(0, 0, 6)]]]
    yield "PREPAREs of another view", [[said, proof(1, 6)[1]]]
    yield "a PREPARE of another sequence", [[said, [one, prepare(2, 0, 7)]]]
    yield "a PREPARE of another batch", [[said, [one, prepare(2, 0, 6, TWO)]]]
    yield "a COMMIT as PREPARE", [[said, [one, say(18, 0, 2, 0, 6, ONE)]]]
    yield "the proposal as PREPARE", [[said, [one, said]]]
    yield "a PREPARE as proposal", [[prepare(0, 0, 6), [one, two]]]
    yield "a proposal of a backup", [[proposal(0, 6, sender=3), [one, two]]]
    yield "a proposal signed by another", [[proposal(0, 6, by="r3"), [one, two]]]
    yield "a proposal with its batch", [[proposal(0, 6, attachment=NOISE), [one, two]]]
    yield "a PREPARE signed by another", [[said, [one, prepare(2, 0, 6, by="r3")]]]
    yield "a certificate of the new view", [proof(3, 6)]
    yield "a certificate of a later view", [proof(4, 6)]
    yield "a sequence twice", [proof(0, 6), proof(1, 6)]
    yield "sequences descending", [proof(0, 7), proof(0, 6)]
    yield "the checkpoint's own sequence", [proof(0, 5)]
    yield "a sequence under the checkpoint", [proof(0, 4)]
    yield "a sequence out of reach", [proof(0, 5 + REACH + 1)]
    yield "one good certificate and a bad one", [proof(0, 6), [proposal(0, 7), []]]


def undecidable_changes() -> Iterator[Case]:
    """Of statements that this verifier cannot judge, what it meets first counts."""
    unknown, forged = say(19, 7, 0, 5, ONE, TWO, 7, by="r0"), checkpoint(0, by="r3")
    first, second, third = stable()
    yield Case("an epoch that the chain lacks", "unknown epoch", [change([unknown, first, second])])
    yield Case("the next epoch", "unknown epoch", [change(stable(epoch=1))])
    yield Case("an unknown epoch, then a forgery", "unknown epoch", [change([unknown, forged])])
    yield Case("a forgery, then an unknown epoch", "convicted", [change([forged, unknown])])
    yield Case("an unknown epoch, then a wrong kind", "unknown epoch", [change([unknown], [first, []])])
    yield Case("a wrong kind, then an unknown epoch", "convicted", [change([proposal(0, 6), unknown])])
    yield Case("an unknown epoch, then noise", "convicted", [change([unknown, NOISE])])
    yield Case(
        "one in two places, then an unknown epoch",
        "unknown epoch",
        [change([first], [first, [say(17, 7, 0, 0, 6, ONE, by="r0")]])],
    )
    yield Case("an earlier epoch", "other epoch", [change(stable(), epoch=1)], "long")
    yield Case("a later epoch", "other epoch", [change(stable(epoch=1))], "long")
    mixed = change([*stable(9, epoch=1)[:2], third], epoch=1)
    yield Case("a statement of another epoch among those of its own", "other epoch", [mixed], "long")
    foreign = change([], [proposal(0, 9), [prepare(1, 0, 9, epoch=1)]], epoch=1)
    yield Case("a proposal of another epoch", "other epoch", [foreign], "long")


def large_changes() -> Iterator[Case]:
    """At the bound of what a verifier reads, with statements that are none and so cost nothing."""
    full = [[b"", [b""] * 31]] * (ROOM // 32)
    yield Case("as many as are read", "convicted", [change([], *full)])
    yield Case("one more", "too many", [change([b""], *full)])
    yield from reproposed()


def reproposed() -> Iterator[Case]:
    """What stands inside of the statements counts too, be they of a kind that cannot stand there."""
    entry, votes = (0, 1, ONE, ONE, 1, ONE), [b""] * 3
    carriers = {
        "a VIEW-CHANGE": (say(21, 0, 1, 1, votes, [[b"", votes]] * 2), 11),
        "a NEW-VIEW": (say(22, 0, 1, 1, [], votes * 3), 9),
        "a range of the log": (
            encode_envelope(67, canonical.encode([[[entry, b"", votes]] * 2, votes]), b""),
            9,
        ),
        "supplied frames": (encode_envelope(69, canonical.encode([votes * 3]), b""), 9),
        "an answer to a Ping": (
            encode_envelope(77, canonical.encode([1, 1, votes, votes * 2, 0, 0]), b""),
            9,
        ),
        "an offered state": (encode_envelope(81, canonical.encode([votes, entry, [ONE], b""]), b""), 3),
        "a CHECKPOINT": (checkpoint(0), 0),
        "a suspicion": (say(20, 0, 1, 1, "silent_primary"), 0),
    }
    for name, (carrier, inside) in carriers.items():
        for more, verdict in ((0, "convicted"), (1, "too many")):
            rest = ROOM - 2 - inside + more
            filler = say(21, 0, 1, 1, [b""] * (rest % 32), [[b"", [b""] * 31]] * (rest // 32))
            yield Case(f"{name} and all the room besides, {more} more", verdict, [change([filler, carrier])])
            yield Case(f"all the room, {more} more, then {name}", verdict, [change([carrier, filler])])
    filler = say(21, 0, 1, 1, [], [[b"", [b""] * 31]] * (ROOM // 32))
    yield Case("noise, then too many", "convicted", [change([NOISE, filler])])
    yield Case("too many, then noise", "too many", [change([filler, NOISE])])


def view_changes() -> Iterator[Case]:
    """All evidence of one VIEW-CHANGE."""
    for name, frame in honest_changes():
        yield Case(name, "proves", [frame])
        yield Case(f"{name}; with a longer chain", "proves", [frame], "long")
    yield from (Case(name, "proves", [frame], "long") for name, frame in honest_later_changes())
    for name, frames in odd_checkpoints():
        yield Case(f"checkpoint: {name}", "convicted", [change(frames)])
    for name, proofs in odd_proofs():
        yield Case(f"prepared: {name}", "convicted", [change(stable(), *proofs)])
    for name, sequence in (("at", BASE), ("out of reach of", BASE + REACH + 1)):
        frame = change([], proof(0, sequence, epoch=1), epoch=1)
        yield Case(f"prepared: {name} the beginning of its epoch", "convicted", [frame], "long")
    yield from undecidable_changes()
    yield from large_changes()
    good = change()
    for name, frames in (
        ("two VIEW-CHANGEs", [good, good]),
        ("no frame", []),
        ("a NEW-VIEW", [say(22, 0, 1, 1, [], [])]),
        ("noise", [NOISE]),
        ("signed by another", [change(by="r2")]),
        ("of an epoch that the chain lacks", [change(epoch=1)]),
        ("of a member that never was", [say(21, 0, 4, 1, [], [], by="r1")]),
        ("a field too many", [say(21, 0, 1, 1, [], [], 1)]),
    ):
        yield Case(name, "nothing", frames)
