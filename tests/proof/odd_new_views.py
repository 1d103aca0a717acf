"""NEW-VIEWs beside their VIEW-CHANGEs, and what evidence of them must be found to be (see odd_views.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST as NULL
from tests.proof.odd_views import (
    BASE,
    NOISE,
    ONE,
    TWO,
    Case,
    change,
    checkpoint,
    digest_of,
    named,
    prepare,
    proof,
    proposal,
    say,
    stable,
)

Slot = tuple[int, bytes]


def new_view(
    names: Sequence[tuple[int, bytes]], *slots: Slot | bytes, view: int = 1, epoch: int = 0, **more: Any
) -> bytes:
    """The NEW-VIEW of a view's primary; slots are (sequence, digest), or frames of any kind."""
    frames = [
        slot if isinstance(slot, bytes) else proposal(view, *slot, epoch=epoch, **more) for slot in slots
    ]
    return say(22, epoch, view % 4, view, list(names), frames)


def quiet(view: int = 1) -> list[bytes]:
    """VIEW-CHANGEs of three members that prepared nothing."""
    return [change(sender=sender, view=view) for sender in range(3)]


def one_prepared() -> list[bytes]:
    """Sequence 6 prepared by two, above the checkpoint at 5."""
    changes = [change(stable(), proof(0, 6), sender=sender, view=1) for sender in range(2)]
    return [*changes, change(sender=2, view=1)]


def new_views() -> Iterator[Case]:
    """All evidence of one NEW-VIEW."""
    yield from following()
    yield from choosing()
    yield from lying()
    yield from misnaming()
    yield from lacking()
    yield from no_evidence()


def following() -> Iterator[Case]:
    """NEW-VIEWs that follow from their VIEW-CHANGEs."""
    calm, busy = quiet(), one_prepared()
    reproposed = new_view(named(*busy), (6, ONE))
    yield Case("nothing to carry", "follows", [new_view(named(*calm)), *calm])
    yield Case("one batch carried", "follows", [reproposed, *busy])
    yield Case("VIEW-CHANGEs in another order", "follows", [reproposed, *busy[::-1]])
    yield Case("a VIEW-CHANGE twice", "follows", [reproposed, *busy, busy[0]])
    spare = change(stable(), proof(0, 7), sender=3, view=1)
    yield Case("a VIEW-CHANGE that it does not name", "follows", [reproposed, *busy, spare])
    bad = change([NOISE], sender=3, view=1)
    yield Case("one that proves nothing and is not named", "follows", [reproposed, *busy, bad])
    unsigned = proposal(1, 6, by="r3")
    yield Case("who signed a proposal is not asked", "follows", [new_view(named(*busy), unsigned), *busy])
    hung = new_view(named(*busy), (6, ONE), attachment=NOISE)
    yield Case("a proposal with its batch", "follows", [hung, *busy])
    later = [
        change([], *proofs, sender=s, view=1, epoch=1)
        for s, proofs in enumerate([[proof(0, BASE + 2, epoch=1)], [], []])
    ]
    names = named(*later)
    told = new_view(names, (BASE + 1, NULL), (BASE + 2, ONE), epoch=1)
    yield Case("the second epoch begins after its base", "follows", [told, *later], "long")
    told = new_view(names, (BASE + 2, ONE), epoch=1)
    yield Case("the second epoch, a hole left open", "convicted", [told, *later], "long")


def choosing() -> Iterator[Case]:
    """Which batch, from where, to where."""
    high = [change([], proof(0, 1, TWO), sender=0, view=5), change([], proof(2, 1, ONE), sender=1, view=5)]
    high.append(change(sender=3, view=5))
    for name, digest, verdict in (
        ("the later view's", ONE, "follows"),
        ("the greater digest's", TWO, "convicted"),
    ):
        yield Case(f"two views: {name} batch", verdict, [new_view(named(*high), (1, digest), view=5), *high])
        low = [
            change([], proof(2, 1, ONE), sender=0, view=5),
            change([], proof(0, 1, TWO), sender=1, view=5),
            high[2],
        ]
        yield Case(
            f"two views, told in another order: {name} batch",
            verdict,
            [new_view(named(*low), (1, digest), view=5), *low],
        )
    # Only more than f liars can prepare two batches in one view; even so all must choose the same one.
    for one, two in ((ONE, TWO), (TWO, ONE)):
        split = [
            change([], proof(0, 1, one), sender=0, view=5),
            change([], proof(0, 1, two), sender=1, view=5),
            high[2],
        ]
        for digest, verdict in ((TWO, "follows"), (ONE, "convicted")):
            told = new_view(named(*split), (1, digest), view=5)
            yield Case(f"two of one view, {one[0]} first: {digest[0]}", verdict, [told, *split])
    mixed = [
        change(stable(8), sender=0, view=1),
        change(stable(5), proof(0, 7), proof(0, 10), sender=1, view=1),
    ]
    mixed.append(change([], proof(0, 3), sender=2, view=1))
    for name, slots, verdict in (
        ("from the newest checkpoint", [(9, NULL), (10, ONE)], "follows"),
        ("from an older one", [(6, NULL), (7, ONE), (8, NULL), (9, NULL), (10, ONE)], "convicted"),
        ("without the null batch", [(10, ONE)], "convicted"),
        ("in descending order", [(10, ONE), (9, NULL)], "convicted"),
    ):
        yield Case(f"checkpoints differ: {name}", verdict, [new_view(named(*mixed), *slots), *mixed])
    under = [
        change(stable(8), sender=0, view=1),
        change(stable(5), proof(0, 7), sender=1, view=1),
        change(sender=2, view=1),
    ]
    yield Case("all prepared is under a checkpoint", "follows", [new_view(named(*under)), *under])
    yield Case(
        "what is under a checkpoint is carried", "convicted", [new_view(named(*under), (7, ONE)), *under]
    )


def lying() -> Iterator[Case]:
    """Proposals that do not follow."""
    busy = one_prepared()
    names = named(*busy)
    for name, slots in (
        ("a batch left out", []),
        ("another batch", [(6, TWO)]),
        ("the null batch for it", [(6, NULL)]),
        ("another sequence", [(7, ONE)]),
        ("one more sequence", [(6, ONE), (7, NULL)]),
        ("one twice", [(6, ONE), (6, ONE)]),
        ("in another view", [proposal(5, 6)]),
        ("in another epoch", [say(16, 1, 1, 1, 6, ONE)]),
        ("by somebody else", [proposal(1, 6, sender=2)]),
    ):
        yield Case(name, "convicted", [new_view(names, *slots), *busy])
    not_primary = say(22, 0, 2, 1, names, [proposal(1, 6)])
    yield Case("not by the primary of its view", "convicted", [not_primary, *busy])
    yield Case("not by the primary of its view, VIEW-CHANGEs unseen", "convicted", [not_primary])


def misnaming() -> Iterator[Case]:
    """VIEW-CHANGEs named as they must not be."""
    busy, fourth = one_prepared(), change(sender=3, view=1)
    one, two, three = named(*busy)
    for name, names in (
        ("one too few", [one, two]),
        ("one too many", [one, two, three, *named(fourth)]),
        ("none", []),
        ("descending", [two, one, three]),
        ("one twice", [one, two, two]),
    ):
        yield Case(f"named: {name}", "convicted", [new_view(names, (6, ONE)), *busy, fourth])
        yield Case(f"named: {name}, beside noise", "convicted", [new_view(names, (6, ONE)), NOISE])
    other = new_view([one, two, (3, three[1])], (6, ONE))
    yield Case("named: under another's name", "convicted", [other, *busy])
    yield Case("named: under another's name, the others unseen", "convicted", [other, busy[2]])
    stale = change(sender=2, view=5)
    yield Case(
        "named: one for another view",
        "convicted",
        [new_view([one, two, *named(stale)], (6, ONE)), *busy[:2], stale],
    )
    stranger = new_view([one, two, (7, three[1])], (6, ONE))
    yield Case("named: a member that never was", "convicted", [stranger, *busy])


def lacking() -> Iterator[Case]:
    """Missing or undecidable parts lead to no verdict."""
    busy = one_prepared()
    wrong = new_view(named(*busy), (6, TWO))
    yield Case("a VIEW-CHANGE is not there", "missing", [wrong, *busy[:2]])
    yield Case("no VIEW-CHANGE is there", "missing", [wrong])
    yield Case(
        "another one of the same member is there", "missing", [wrong, *busy[:2], change([], sender=2, view=2)]
    )
    bad = change([checkpoint(0)], sender=2, view=1)
    yield Case(
        "one that it names proves nothing",
        "missing",
        [new_view(named(*busy[:2], bad), (6, TWO)), *busy[:2], bad],
    )
    for name, frame, verdict in (
        ("noise", NOISE, "nothing"),
        ("a NEW-VIEW", wrong, "nothing"),
        ("one of an epoch unknown", change(epoch=1), "nothing"),
        ("one signed by another", change(sender=3, view=1, by="r2"), "nothing"),
        (
            "one that rests on an epoch unknown",
            change([say(19, 7, 0, 5, ONE, TWO, 7, by="r0")]),
            "unknown epoch",
        ),
        ("one with more than is read", change([], *[[b"", [b""] * 31]] * 2049), "too many"),
    ):
        yield Case(f"beside it {name}", verdict, [wrong, *busy, frame])
    later = change(sender=2, view=1, epoch=1)
    yield Case("beside it one of another epoch", "nothing", [wrong, *busy, later], "long")
    told = new_view(named(*busy[:2], later), (6, TWO))
    yield Case("it names one of another epoch", "nothing", [told, *busy[:2], later], "long")
    yield Case(
        "beside it one that rests on another epoch",
        "other epoch",
        [wrong, *busy, change(stable(epoch=1))],
        "long",
    )
    for name, frame in (
        ("noise", NOISE),
        ("a PREPARE", prepare(1, 1, 6)),
        ("a proposal with a field too many", say(16, 0, 1, 1, 6, ONE, 0)),
    ):
        yield Case(f"{name} as proposal", "nothing", [new_view(named(*busy), frame), *busy])


def no_evidence() -> Iterator[Case]:
    """Frames that are not evidence of a NEW-VIEW."""
    busy = one_prepared()
    yield Case("no frame", "nothing", [])
    yield Case("a VIEW-CHANGE", "nothing", [busy[0], *busy])
    yield Case("noise", "nothing", [NOISE, *busy])
    names = [(sender, digest_of(frame)) for sender, frame in enumerate(busy)]
    forged = say(22, 0, 1, 1, names[:2], [], by="r2")
    yield Case("signed by another", "nothing", [forged, *busy])
    yield Case("of an epoch that the chain lacks", "nothing", [new_view(names[:2], epoch=1), *busy])
