"""The vectors to which all verifiers are held: docs/understand/protocol/certificate-vectors.json.

`python -m tests.proof.vectors` writes the file anew; keys, times and signatures are fixed, so it only changes
with the format.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec

from dtvn.machine import Admit, Block, Command, Dispute, Issue, Replace, Resolve, SetEvent, Validate
from dtvn.proof import Receipts, compare, decode_certificate, encode_certificate, read_chain, verify
from dtvn.proof.epoch_chain import epoch_change_certificate
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.quorum import Mode
from tests.proof import odd_leaves
from tests.proof.support import Later, PaperLog
from tests.proof.verdicts import by_dtvn

FILE = Path(__file__).resolve().parents[2] / "docs/understand/protocol/certificate-vectors.json"
ORDER = 2**252 + 27742317777372353535851937790883648493


def logs() -> tuple[PaperLog, PaperLog]:
    """Two histories of one cluster that part at sequence 3."""
    log, fork = PaperLog(), PaperLog()
    log.admit(gate="north")
    fork.admit(gate="south")
    late = log.operation(Admit(gate="Süd\u202eevil"), "TICKET-1")
    log.order(
        [log.operation(Issue(seat="B-2"), "TICKET-2")],
        [late, log.operation(Validate(data=b"x" * 300), "TICKET-2")],
        [log.operation(Dispute(reason="twice"), "TICKET-2"), log.operation(Resolve("uphold"), "TICKET-2")],
    )
    log.order([log.operation(Admit(), "TICKET-2"), log.operation(Admit(), "NOBODY")])
    log.fill(23)
    fork.fill(12)
    return log, fork


def build() -> list[dict[str, Any]]:
    """Each vector: name, chain, certificate, maybe against, and the sentences of DTVN's own verifier; or
    `refused` with the code and the place."""
    log, fork = logs()
    chain = log.chain()
    found: list[dict[str, Any]] = []

    def holds(name: str, chain: bytes, data: bytes, against: bytes | None = None) -> None:
        trusted = read_chain(chain)
        proved = verify(decode_certificate(data), trusted)
        vector = {"name": name, "chain": chain, "certificate": data, "sentences": proved.sentences()}
        if against is not None:
            contradiction = compare(proved, verify(decode_certificate(against), trusted))
            vector |= {
                "against": against,
                "against_sentences": contradiction.sentences() if contradiction else [],
            }
        found.append(vector)

    def refused(name: str, data: bytes, trusted: bytes = chain) -> None:
        vector = {"name": name, "chain": trusted, "certificate": data}
        verdict = by_dtvn(_coded(vector))
        found.append(vector | {"refused": True, "code": verdict["refused"], "place": verdict["place"]})

    holds("receipts of q members", chain, log.receipts(3))
    holds("receipts of other q members", chain, log.receipts(3, signers=[0, 2, 3]))
    holds("under the checkpoint at its own sequence", chain, log.checkpointed(3, 3))
    holds("under a later checkpoint", chain, log.checkpointed(3, 20))
    holds("the first entry under an uneven tree", chain, log.checkpointed(1, 23))
    holds("the last entry under an uneven tree", chain, log.checkpointed(23, 23))
    for index in range(5):
        holds(f"operation {index} of three bundles", chain, log.checkpointed(4, 10, index=index))
    holds("a refusal, the ticket upheld", chain, log.receipts(5))
    holds("a refusal without a ticket", chain, log.receipts(5, index=1))
    for members in (1, 2, 3, 5, 7):
        small = PaperLog(members)
        small.admit()
        holds(f"{members} members", small.chain(), small.receipts(3))
    _second_epoch(holds, refused, log)
    _through_epochs(holds, refused)
    _contradicting(holds, chain, log, fork)
    _recovered(holds, refused)
    _broken(refused, log)
    for name, data in odd_leaves.holding(log):
        holds(name, chain, data)
    for name, data in odd_leaves.refused(log):
        refused(name, data)
    _answered(holds, refused)
    for name, data in odd_leaves.answers_holding(log):
        holds(name, chain, data)
    for name, data in odd_leaves.answers_refused(log):
        refused(name, data)
    for name, data in odd_leaves.lists_holding(log):
        holds(name, chain, data)
    for name, data in odd_leaves.lists_refused(log):
        refused(name, data)
    _of_raft(holds, refused)
    return found


def _of_raft(holds: Any, refused: Any) -> None:
    """Certificates of clusters whose members agree by Raft: a majority of them proves, and none may lie."""
    for members in (1, 2, 3, 4, 5, 7):
        small = PaperLog(members, mode=Mode.RAFT)
        small.admit()
        holds(f"raft: {members} members", small.chain(), small.receipts(3))
    log = PaperLog(5, mode=Mode.RAFT)
    log.admit("TICKET-OLD")
    log.fill(7)
    log.change(leaves="r1")
    log.change(joins="r6")
    log.admit("TICKET-NEW")
    last = len(log.steps)
    chain = log.chain()
    holds("raft: under a checkpoint of the third epoch", chain, log.checkpointed(3, last))
    holds("raft: of the third epoch", chain, log.receipts(last))
    fork = PaperLog(5, mode=Mode.RAFT)
    fork.admit("TICKET-OLD", gate="south")
    other = fork.receipts(3, signers=[0, 3, 4])
    holds("raft: two entries, one member signed both", chain, log.receipts(3), other)
    few, many = [0, 1], [0, 1, 2, 3]
    refused("raft: one signature too few", log.receipts(3, signers=few), chain)
    refused("raft: as many signatures as PBFT needs", log.receipts(3, signers=many), chain)
    one, plain = PaperLog(5, mode=Mode.RAFT), PaperLog(5)
    one.admit()
    plain.admit()
    refused("raft: under the genesis of the same members with PBFT", one.receipts(3), plain.chain())
    refused("raft: of the same members with PBFT", plain.receipts(3), one.chain())
    genesis = g.encode(one.genesis)
    assert genesis.endswith(b"\x90\xa4raft")
    for name, odd in (
        ("a genesis that names PBFT", genesis[:-4] + b"pbft"),
        ("a genesis that names another mode", genesis[:-5] + b"\xa5paxos"),
        ("a genesis with two continued states", genesis[:-6] + b"\x92\x90\x90\xa4raft"),
        ("a genesis without its mode", b"\x98" + genesis[1:-5]),
    ):
        refused(f"raft: {name}", one.receipts(3), odd)


CODES = tuple(bytes([number]) * 32 for number in range(4))


def _answered(holds: Any, refused: Any) -> None:
    """Admissions by code, which name no ticket, and what was changed in the ticket's terms."""
    log, fork = doors(gate="north"), doors(gate="south")
    chain = log.chain()
    admitted = log.receipts(4, index=1)
    holds("by code: issued with codes", chain, log.receipts(3))
    holds("by code: admitted", chain, admitted)
    holds("by code: admitted, under a later checkpoint", chain, log.checkpointed(4, 6, index=1))
    for index, name in enumerate(("no such code", "admitted", "already admitted", "blocked", "by its id")):
        holds(f"by code: {name}, in its batch", chain, log.receipts(4, index=index))
    for index, name in enumerate(
        ("a block", "a replacement", "a revoked code", "a blocked one", "a late retry")
    ):
        holds(f"by code: {name}", chain, log.receipts(5, index=index))
    holds("by code: an event", chain, log.receipts(2))
    holds("by code: blocked and replaced after its entry", chain, admitted, log.receipts(5, index=3))
    holds("by code: a refusal of the first form after it", chain, admitted, log.receipts(6))
    holds("by code: the entry after a refusal", chain, log.receipts(5, index=0), admitted)
    other = doors(gate="south", late=True)
    holds("by code: admitted twice", chain, other.receipts(5, signers=[0, 1, 3], index=1), admitted)
    holds("by code: two receipts", chain, admitted, fork.receipts(4, signers=[1, 2, 3], index=1))
    old = msgspec.structs.replace(decode_certificate(admitted), version=1)
    refused("by code: in version 1", encode_certificate(old), chain)


def doors(*, gate: str, late: bool = False) -> PaperLog:
    """A log with codes: an event, two tickets, scans at this gate, a block and a replacement. `late`: one
    entry more comes before the scans."""
    log = PaperLog()

    def asked(command: Command, ticket: str = "", nonce: bytes = b"") -> Operation:
        return log.operation(command, ticket, nonce, event="opera")

    def scan(code: bytes, nonce: bytes = b"") -> Operation:
        return asked(Admit(gate=gate, device="scanner-7", code=code), nonce=nonce)

    a, b, c, d = CODES
    log.order([asked(SetEvent("Opera", "Europe/Vienna", 0, False, (("Stalls", True),)))])
    log.order(
        [
            asked(Issue(product="Stalls", seat="A1", codes=(a, b)), "TICKET-1"),
            asked(Issue(codes=(c,), blocked=True, block_reason="refunded"), "TICKET-2"),
        ]
    )
    if late:
        log.fill(4)
    log.order([scan(d), scan(a, b"n1"), scan(b), scan(c), asked(Admit(code=b""), "TICKET-1")])
    log.order(
        [
            asked(Block(reason="Sü\u202ed"), "TICKET-1"),
            asked(Replace((d,)), "TICKET-1"),
            scan(a),
            scan(d),
            scan(a, b"n1"),
        ]
    )
    log.order([asked(Admit(gate="east"), "TICKET-1")])
    return log


def _second_epoch(holds: Any, refused: Any, log: PaperLog) -> None:
    later = Later(log, ["r1", "r2", "r3", "r4", "r5", "r6", "r7"])
    admit = (0, log.operation(Admit(gate="east"), "TICKET-9"), "ok", b"")
    second = later.prove(admit, epoch=1, checkpoint_epoch=1, names=later.names)
    longer = log.chain(later.epoch_change_proof)
    holds("in the second epoch", longer, second)
    holds("of the first epoch, with the longer chain", longer, log.receipts(3))
    refused("of an epoch that the chain lacks", second)
    old = later.prove(admit, epoch=1, checkpoint_epoch=1, names=[*log.names, "r8", "r9", "r10"])
    refused("of the second epoch, signed by the first one's members", old, longer)
    refused(
        "of the first epoch after its end",
        later.prove(admit, epoch=0, checkpoint_epoch=0, names=log.names),
        longer,
    )
    early = Later(PaperLog(), later.names)
    refused(
        "of the second epoch long before it began",
        early.prove(admit, epoch=1, checkpoint_epoch=1, names=early.names),
        longer,
    )


def _through_epochs(holds: Any, refused: Any) -> None:
    """A log whose membership really changes twice: a key is replaced, then a member joins."""
    log = PaperLog()
    log.admit("TICKET-OLD")
    log.fill(7)
    log.change(leaves="r1", joins="r5")
    first = len(log.steps)
    log.admit("TICKET-MIDDLE")
    log.change(joins="r6")
    second = len(log.steps)
    log.admit("TICKET-NEW")
    log.fill(second + 5)
    last = len(log.steps)
    chain = log.chain()
    old, middle, new = 3, first + 2, second + 2
    holds("three epochs: of the first, under the hand-over", chain, log.checkpointed(old, first))
    holds("three epochs: of the first, under a checkpoint of the third", chain, log.checkpointed(old, last))
    holds("three epochs: of the second, under its hand-over", chain, log.checkpointed(middle, second))
    holds("three epochs: of the second, by receipts", chain, log.receipts(middle))
    holds("three epochs: of the third, by receipts", chain, log.receipts(new))
    holds("three epochs: of the third, under a checkpoint", chain, log.checkpointed(new, last))
    holds("three epochs: the first hand-over itself", chain, log.checkpointed(first, first))
    certificate = log.receipts(new)
    one, two = (
        epoch_change_certificate(msgspec.msgpack.encode(each), log.cluster) for each in log.epoch_changes
    )
    for name, links in (
        ("a chain that skips an epoch", (two,)),
        ("a chain in the wrong order", (two, one)),
        ("a chain with one link twice", (one, one)),
        ("a chain whose link is proved by a later checkpoint", (log.checkpointed(first, second), two)),
        ("a chain whose link is proved by receipts", (log.receipts(first), two)),
        # Members of an epoch that is over went on past its end.
        ("a chain whose link is proved beyond its epoch", (log.checkpointed(first, first + 2, epoch=0), two)),
        ("a chain whose link ends nothing", (log.checkpointed(old, old), two)),
    ):
        refused(name, certificate, log.chain(*links))
    forged = PaperLog()
    forged.admit("TICKET-OLD")
    forged.fill(7)
    forged.change(leaves="r1", joins="r5")
    by_successors = forged.checkpointed(first, first, names=forged.epochs[1])
    refused("a chain whose link is signed by those whom it names", certificate, log.chain(by_successors, two))
    stale = log.receipts(new, signers=range(4), names=log.epochs[0])
    refused("receipts by members of an epoch that is over", stale, chain)


def _recovered(holds: Any, refused: Any) -> None:
    """A log whose members ended an epoch offline, all of them, and went on under new keys (R11)."""
    log = PaperLog()
    log.admit("TICKET-OLD")
    log.fill(7)
    old = log.receipts(3)
    ended = log.recover()
    end = ended.entry.sequence
    wrong = {
        "one of the members has not signed": ended.checkpoint[:3],
        "one of the members signed twice": (*ended.checkpoint[:3], ended.checkpoint[2]),
        "another end of the log": log.continuations(0, sequence=end + 1),
        "other keys than the log has": log.continuations(0, keys=(bytes(32),) * 4),
        "under the new keys": log.continuations(0, names=log.names),
    }
    log.admit("TICKET-NEW", entry="r0")
    middle = log.receipts(len(log.steps))
    log.recover("++")
    log.order([log.operation(Issue(), "TICKET-LAST", entry="r0")])
    chain, new = log.chain(), log.receipts(len(log.steps))
    one, two = (
        epoch_change_certificate(msgspec.msgpack.encode(each), log.cluster) for each in log.epoch_changes
    )
    holds("recovered: of the epoch before", chain, old)
    holds("recovered: of the epoch between two recoveries", chain, middle)
    holds("recovered: of the epoch after both", chain, new)
    holds("recovered: the hand-over of all members itself", chain, one)
    refused("recovered: a chain without the first recovery", new, log.chain(two))
    by_quorum = log.checkpointed(end, end, names=log.epochs[0])
    refused("recovered: a hand-over under q CHECKPOINTs", middle, log.chain(by_quorum))
    for name, frames in wrong.items():
        broken = msgspec.structs.replace(ended, checkpoint=frames)
        link = epoch_change_certificate(msgspec.msgpack.encode(broken), log.cluster)
        refused(f"recovered: {name}", middle, log.chain(link))
    whole = decode_certificate(one)
    for name, changed in (
        ("the version of other certificates", msgspec.structs.replace(whole, version=1)),
        ("another state", msgspec.structs.replace(whole, proof=_with(whole, state_root=bytes(32)))),
        ("no path to the end", msgspec.structs.replace(whole, proof=_with(whole, path=b""))),
    ):
        refused(f"recovered: {name}", middle, log.chain(encode_certificate(changed)))


def _with(certificate: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(certificate.proof, **fields)


def _contradicting(holds: Any, chain: bytes, log: PaperLog, fork: PaperLog) -> None:
    holds("one history", chain, log.receipts(3), log.checkpointed(3, 20))
    holds("two receipts", chain, log.receipts(3), fork.receipts(3, signers=[1, 2, 3]))
    holds("receipt and checkpoint", chain, log.receipts(3), fork.checkpointed(3, 10, signers=[1, 2, 3]))
    holds("two checkpoints", chain, log.checkpointed(3, 20, signers=[0, 1, 3]), fork.checkpointed(3, 10))
    other = PaperLog()
    other.fill(5)
    other.admit(gate="south")
    holds("admitted twice", chain, other.receipts(7, signers=[0, 1, 3]), log.receipts(3))


def _broken(refused: Any, log: PaperLog) -> None:
    foreign = PaperLog(name="foreign")
    foreign.admit()
    refused("of another cluster", foreign.receipts(3))
    whole = decode_certificate(log.receipts(3))
    path = decode_certificate(log.checkpointed(3, 20))
    assert isinstance(whole.proof, Receipts)
    (first, signature), *rest = whole.proof.signatures
    s = (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")

    def with_signatures(*signatures: tuple[int, bytes]) -> bytes:
        return encode_certificate(msgspec.structs.replace(whole, proof=Receipts(signatures)))

    refused("a second spelling of a signature", with_signatures((first, signature[:32] + s), *rest))
    refused("a wrong signature", with_signatures((first, bytes(64)), *rest))
    refused("one signature too few", with_signatures((first, signature), rest[0]))
    refused("one signer twice", with_signatures((first, signature), (first, signature), rest[0]))
    refused("signers out of order", with_signatures(rest[0], (first, signature), rest[1]))
    refused("a signer who is no member", with_signatures((first, signature), rest[0], (9, rest[1][1])))
    refused("no signature", with_signatures())
    for name, changed in (
        ("another sequence", msgspec.structs.replace(whole, sequence=4)),
        ("another epoch", msgspec.structs.replace(whole, epoch=1)),
        ("another version", msgspec.structs.replace(whole, version=2)),
        ("a side without a hash", msgspec.structs.replace(whole, sides=1 << len(whole.path) // 32)),
        ("half a hash", msgspec.structs.replace(whole, path=bytes(16))),
        ("one hash too many", msgspec.structs.replace(path, path=path.path + bytes(32))),
    ):
        refused(name, encode_certificate(changed))
    for name, proof in (
        ("a path too short", {"path": path.proof.path[:-32]}),
        ("a path too long", {"path": path.proof.path + bytes(32)}),
        ("a checkpoint below its entry", {"sequence": 2}),
        ("a checkpoint elsewhere", {"sequence": 19}),
    ):
        broken = msgspec.structs.replace(path.proof, **proof)
        refused(name, encode_certificate(msgspec.structs.replace(path, proof=broken)))
    bare = log.receipts(3)
    refused("a byte too many", bare + b"\0")
    refused("a byte too few", bare[:-1])
    refused("a number in a longer spelling", bare[:1] + b"\xcc\x01" + bare[2:])
    refused("nothing", b"")


def text() -> str:
    """The file."""
    vectors = [_coded(each) for each in build()]
    whole = {"format": "dtvn-certificate-vectors/1", "vectors": vectors}
    return json.dumps(whole, indent=1, ensure_ascii=True) + "\n"


def _coded(vector: dict[str, Any]) -> dict[str, Any]:
    return {
        key: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for key, value in vector.items()
    }


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
