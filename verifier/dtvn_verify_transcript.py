"""Third file of DTVN's stand-alone verifier: checks transcripts of runs that a cluster judged, and two votes.

dtvn_verify.py loads it from its own folder for `transcript`, and the second file for evidence of the code
`event_vote`; docs/understand/protocol/certificates.md has the forms. Whatever was changed is refused with the
event or the chunk that it is in.
"""

import hashlib
import re

from dtvn_verify import HASH, NUMBER, SIGNATURE, Refused, log_root, need, opened, pack, read, shown
from nacl import exceptions, signing

TEXT, SALT = {str: range(1025)}, {bytes: (0, 16)}  # a withheld event has no salt
EVENT, CERTIFICATES = (HASH, SALT, bytes), [{bytes: range((1 << 16) + 1)}, 1 << 18]
TRANSCRIPT = (NUMBER, HASH, TEXT, TEXT, HASH, [EVENT, 1 << 18], CERTIFICATES)
BALLOT = (NUMBER, NUMBER, {int: range(1, 4097)}, [HASH, 12], SIGNATURE)
ENCODED = {bytes: range((1 << 15) + 1)}
CERTIFICATE = (NUMBER, HASH, NUMBER, ENCODED, [BALLOT, 31])
TWO_VOTES, TWO_VOTES_MAX = (NUMBER, HASH, NUMBER, (ENCODED, BALLOT), (ENCODED, BALLOT)), 80 << 10
QUESTION = (TEXT, TEXT, NUMBER, {int: range(1, 257)}, HASH, HASH, HASH)
VOTE = (QUESTION, HASH, [({int: range(256)}, str), 256])
# The state of the rules before the first event of a run, and after its end.
START = bytes.fromhex("d10bc796c3143e7158ae057c6658306fce3cc50dcbe91d9709bf8a8742cce25a")
ENDS = {
    bytes.fromhex("34239c7b76db35447534682f805b7accbf13af8c70881b46b8d1f10adead471f"): "RUN_FINISHED",
    bytes.fromhex("09629bdc1f14ab6ad8acca0de2d67f06ed6fcc7395793eb16e0078ee9169fe74"): "RUN_ERROR",
}
UNSAID = (
    "It shows votes, not the record of the log, which may hold another history of the run: the head",
    "must be one that a platform of the cluster lists in `records` of GET /api/v1/events/runs/{id}.",
    "It says what was emitted and judged, not when, and nothing of what came later.",
)


def main(path, chain):
    """Prints what the transcript at `path` proves."""
    print(*sentences(read(path, "transcript"), chain), sep="\n")
    return 0


def sentences(data, chain):
    """What a transcript proves, in words; Refused if it proves nothing."""
    _, _, thread, run, rules, events, certificates = transcript(data, chain)
    digests = [digest for digest, *_ in events]
    point, chunks = (0, START), []
    head = sha256(b"dtvn/events/v1/run\0" + pack([thread, run]))
    for number, encoded in enumerate(certificates):
        place = f"chunk {number}, from event {point[0]}"
        try:
            found = certified(encoded, chain)
        except Refused as error:
            raise Refused(error.code, f"{place}, {error.place}", f"{place}: {error}") from None
        follows(found["question"], (thread, run, *point, rules), digests, place)
        point = point[0] + found["question"][3], found["after"]
        head = sha256(b"dtvn/events/v1/head\0" + head + found["encoded"])
        chunks.append(found)
    why = f"no certificate covers event {point[0]} and those after it"
    need(point[0] >= len(digests), "wrong_chunk", f"event {point[0]}", why)
    yield from told(thread, run, events, chunks, ENDS.get(point[1]))
    yield f"head {head.hex()}, root {root(digests).hex()}, rules {rules.hex()}"
    yield from UNSAID


def transcript(data, chain):
    """The fields of a transcript of this cluster, whose shown events were compared with their digests."""
    found = opened(data, TRANSCRIPT, "a transcript")
    why = f"a transcript of version {found[0]}; this verifier knows 1"
    need(all(found[5:]), "malformed", "transcript", "a transcript has not the form of one")
    need(found[0] == 1, "unknown_version", "transcript", why)
    shaped = all(salt or not text for _, salt, text in found[5])
    need(shaped, "malformed", "transcript", "a transcript has not the form of one")
    why = "the transcript is of another cluster than this chain"
    need(found[1] == chain.cluster, "other_cluster", "transcript", why)
    for index, (digest, salt, text) in enumerate(found[5]):
        same = not salt or sha256(b"dtvn/events/v1/event\0" + salt + text) == digest
        need(same, "wrong_event", f"event {index}", f"event {index} is not the one that its digest names")
    return found


def certified(data, chain):
    """What a certificate of one chunk proves, after every signature was checked."""
    what = "a certificate of events"
    *head, encoded, ballots = opened(data, CERTIFICATE, what)
    epoch, members = head[2], voters(head, what, chain)
    question, after, errors = vote(encoded)
    n, signers = len(members), [ballot[0] for ballot in ballots]
    q = chain.quorum(n)
    why = f"it has {len(signers)} signatures; at least {q} of {n} are needed"
    need(len(signers) >= q, "signature_count", "signatures", why)
    why = "its signers are not distinct members in ascending order"
    need(signers == sorted({*signers}), "bad_signers", "signatures", why)
    for ballot in ballots:
        check(ballot, sha256(b"\0" + encoded), epoch, members, chain.cluster)
    names = [shown(members[member][0]) for member in signers]
    said = {"encoded": encoded, "question": question, "after": after, "errors": errors}
    return {**said, "epoch": epoch, "n": n, "liars": chain.liars(n), "names": names}


def voters(head, what, chain):
    """The members of the epoch that these first fields of a certificate or of evidence name."""
    version, cluster, epoch = head
    noun, kind = what.partition(" ")[2], what.split()[1]
    why = f"{what} of version {version}; this verifier knows 1"
    need(version == 1, "unknown_version", noun, why)
    why = f"epoch {epoch} is not in this chain, which ends with {len(chain.epochs) - 1}"
    need(epoch < len(chain.epochs), "unknown_epoch", f"epoch {epoch}", why)
    need(cluster == chain.cluster, "other_cluster", kind, f"the {kind} is of another cluster")
    return chain.epochs[epoch][0]


def vote(encoded):
    """The fields of a vote: question, state after it, errors."""
    question, after, errors = opened(encoded, VOTE, "a vote")
    places = [place for place, _ in errors]
    shaped = places == sorted({*places}) and all(place < question[3] for place in places)
    shaped = shaped and all(re.match("[A-Z][A-Z0-9_]{0,63}$", code) for _, code in errors)
    need(shaped, "malformed", "vote", "a vote has not the form of one")
    return question, after, errors


def voted_twice(data, chain):
    """Checks two different votes of one member on one question; returns ((epoch, member), where)."""
    why = f"evidence of two votes has at most {TWO_VOTES_MAX} bytes, not {len(data)}"
    need(len(data) <= TWO_VOTES_MAX, "too_large", "evidence", why)
    *head, (one, ballot), (other, second) = opened(data, TWO_VOTES, "the evidence")
    epoch, member, members = head[2], ballot[0], voters(head, "the evidence", chain)
    question = vote(one)[0]
    lies = vote(other)[0] == question and second[0] == member and one != other
    need(lies, "no_contradiction", "votes", "the two votes do not contradict each other")
    check(ballot, sha256(b"\0" + one), epoch, members, chain.cluster)
    check(second, sha256(b"\0" + other), epoch, members, chain.cluster)
    run, digest = shown(question[1])[:64], sha256(pack(question)).hex()
    return (epoch, member), f"run {run}, event {question[2]}, question {digest[:16]}"


def check(ballot, leaf, epoch, members, cluster):
    """Checks that a member signed a turn of votes that holds this one."""
    member, place, size, path, signature = ballot
    why = f"epoch {epoch} has no member {member}"
    need(member < len(members), "unknown_member", f"member {member}", why)
    name, key = members[member]
    try:
        turn = log_root(place, size, leaf, b"".join(path))
    except Refused:
        why = f"the path of {shown(name)} does not lead to its signature"
        raise Refused("bad_path", shown(name), why) from None
    head = b"dtvn/events/v1/votes\0" + cluster + pack([epoch, member, size, turn])
    try:
        signing.VerifyKey(key).verify(head, signature)
    except exceptions.CryptoError:
        why = f"the signature of {shown(name)} does not fit what it should say"
        raise Refused("bad_signature", shown(name), why) from None


def follows(question, point, digests, place):
    """Checks that a chunk continues the run and is of its events."""
    thread, run, position, count, before, chunk, rules = question
    for good, why in (
        (thread == point[0], "it is of another thread"),
        (run == point[1], "it is of another run"),
        (rules == point[4], "it was judged by other rules"),
        (position == point[2], f"it begins at event {position}"),
        (before == point[3], "it does not continue the state of the run before it"),
        (chunk == root(digests[position : position + count]), "its events are not those that were judged"),
    ):
        need(good, "wrong_chunk", place, f"{place}: {why}")


def told(thread, run, events, chunks, end):
    """The proved facts in words."""
    refused = [(chunk["question"][2] + place, code) for chunk in chunks for place, code in chunk["errors"]]
    held = sum(not salt for _, salt, _ in events)
    verdict = f"{len(refused)} refused" if refused else "all valid"
    verdict += f", {held} withheld" if held else ""
    yield f"run {shown(run)} of thread {shown(thread)}: {counted(len(events), 'event')}, {verdict}"
    yield from (f"event {index} was refused: {code}" for index, code in refused[:10])
    yield from (f"... and {len(refused) - 10} more" for _ in refused[10:11])
    for epoch in sorted({chunk["epoch"] for chunk in chunks}):
        group = [chunk for chunk in chunks if chunk["epoch"] == epoch]
        names = ", ".join(sorted({name for chunk in group for name in chunk["names"]}))
        least, n = min(len(chunk["names"]) for chunk in group), group[0]["n"]
        signed = f"{counted(len(group), 'chunk')} of epoch {epoch} signed by {names}"
        yield f"{signed}: each by at least {least} of {n} members, {group[0]['liars']}"
    yield f"the run ended with {end}" if end else "the run had not ended: there may be more of it"


def counted(count, what):
    """The number of things, with their name."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def sha256(data):
    """The SHA-256 of bytes."""
    return hashlib.sha256(data).digest()


def root(level):
    """Root over digests: pairs from the left, a last single one moves up as it is (RFC 9162, section 2.1)."""
    while len(level) > 1:
        pairs = [sha256(b"\1" + level[at] + level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0] if level else sha256(b"")
