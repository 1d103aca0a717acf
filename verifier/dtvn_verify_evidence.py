"""Second file of DTVN's stand-alone verifier: decides which member evidence convicts, and of what.

dtvn_verify.py loads it from its own folder for `evidence` and `--against`, and for seals in a genesis.bin;
docs/understand/protocol/certificates.md has the rules. Evidence of a broken view has three results: a
sentence that convicts; Refused with a code `valid_...`; Refused with a code `undecided_...`.
"""

import hashlib
import itertools

from dtvn_verify import (
    CONTINUES,
    HASH,
    MANY,
    MEMBER,
    NUMBER,
    OPERATION,
    PARAMETERS,
    PRINCIPAL,
    RAFT,
    TAG,
    WORD,
    Proved,
    named,
    need,
    opened,
    pack,
    read,
    second_file,
    shown,
)
from nacl import exceptions, signing

# --- forms -------------------------------------------------------------------------------------------

PROPOSAL, PREPARE, COMMIT, CHECKPOINT, VIEW_CHANGE, NEW_VIEW, RECEIPT = 16, 17, 18, 19, 21, 22, 24
CONTINUATION = 26
FRAME = (NUMBER, bytes, bytes, bytes)  # kind, body, signature, attachment
FRAMES, SPAN = [bytes, 31], 1 << 15  # a frame of each member; sequences between two checkpoints
IN_A_SLOT = (NUMBER, NUMBER, NUMBER, NUMBER, HASH)  # epoch, sender, view, sequence, digest
SAID = {  # kind: the body of a statement that may stand in evidence; all begin with epoch and sender
    PROPOSAL: IN_A_SLOT,
    PREPARE: IN_A_SLOT,
    COMMIT: IN_A_SLOT,
    CHECKPOINT: (NUMBER, NUMBER, NUMBER, HASH, HASH, NUMBER),
    VIEW_CHANGE: (NUMBER, NUMBER, NUMBER, FRAMES, [(bytes, FRAMES), SPAN]),
    NEW_VIEW: (NUMBER, NUMBER, NUMBER, [(NUMBER, HASH), 31], [bytes, SPAN]),
    RECEIPT: (NUMBER, NUMBER, NUMBER, HASH),
    CONTINUATION: (NUMBER, NUMBER, NUMBER, HASH, HASH, NUMBER, [HASH, 31]),
}
PAIR, CLIENT = (NUMBER, NUMBER), {bytes: range(33)}
ENTRY = (NUMBER, NUMBER, HASH, HASH, NUMBER, HASH)
BUSY = (PAIR, NUMBER, HASH, WORD, NUMBER)
OUTCOME = {2: (WORD, bytes), 3: (WORD, bytes, [NUMBER, 2])}
PONG = (NUMBER, NUMBER, [bytes, 256], FRAMES, NUMBER, NUMBER)
SOME, TRUE, FALSE = {int: range(1, (1 << 62) + 1)}, {bool: [True]}, {bool: [False]}  # of last fields
START, STARTED = {bytes: range(9)}, {bytes: range(1, 9)}
STATUS = (NUMBER, NUMBER, NUMBER, bool, NUMBER, NUMBER, NUMBER, [NUMBER, 64], bool)
PING, VOTE = (NUMBER, bool, NUMBER, NUMBER, NUMBER), (NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, bool, NUMBER)
APPENDED = (NUMBER, NUMBER, NUMBER, NUMBER, [bytes, 64], NUMBER)
MATCHED = (NUMBER, NUMBER, bool, NUMBER, NUMBER, NUMBER)
GREETED = (CLIENT, NUMBER, START, NUMBER, NUMBER)
# Kind -> form of all other messages, by the number of fields where a later release added one. None is allowed
# in a VIEW-CHANGE, but their forms must be known: bytes that do not decode convict at once, while a message
# with too many statements is left to a larger verifier.
FORMS = {
    1: (NUMBER, str, CLIENT, PAIR, NUMBER, NUMBER, [OPERATION, 5_000]),
    20: (NUMBER, NUMBER, NUMBER, WORD),
    23: {
        9: STATUS,
        10: (*STATUS, SOME),
        11: (*STATUS, NUMBER, TRUE),
        12: (*STATUS, NUMBER, bool, SOME),
    },
    25: (NUMBER, NUMBER, PAIR, NUMBER, HASH, NUMBER, NUMBER, [WORD, MANY]),
    27: (NUMBER, NUMBER, NUMBER, HASH, NUMBER),
    64: (HASH,),
    65: (bytes,),
    66: {3: (NUMBER, NUMBER, NUMBER), 4: (NUMBER, NUMBER, NUMBER, {bool: [True]})},
    67: ([(ENTRY, bytes, FRAMES), SPAN], FRAMES),
    68: (HASH,),
    69: ([bytes, 256],),
    70: (PAIR, NUMBER, HASH, ENTRY, NUMBER, [OUTCOME, MANY], [(bool, HASH), MANY], bytes),
    71: {5: BUSY, 6: (*BUSY, {int: range(1, (1 << 62) + 1)})},
    72: {2: (NUMBER, NUMBER), 3: (NUMBER, NUMBER, {bool: [True]})},
    73: {
        1: (CLIENT,),
        2: (CLIENT, SOME),
        3: (CLIENT, NUMBER, STARTED),
        4: (*GREETED[:3], SOME),
        5: (*GREETED[:4], SOME),
        6: (*GREETED, STARTED),
    },
    74: (NUMBER, WORD, [{str: range(1025)}, 16]),
    75: (NUMBER, WORD, str),
    76: {5: PING, 6: (*PING, FALSE)},
    77: {6: PONG, 7: (*PONG, FALSE), 8: (*PONG, bool, SOME)},
    80: (NUMBER, NUMBER),
    81: (FRAMES, ENTRY, [HASH, 62], {bytes: range((1 << 16) + 1)}),
    82: (NUMBER, [{int: range(1024)}, 1024]),
    83: (NUMBER, [(NUMBER, [[bytes, MANY], MANY]), 32]),
    84: (bytes,),
    85: (bytes,),
    90: {7: VOTE, 8: (*VOTE, TRUE)},
    91: (NUMBER, NUMBER, bool, bool, NUMBER),
    92: {6: APPENDED, 7: (*APPENDED, SOME)},
    93: {6: MATCHED, 7: (*MATCHED, SOME)},
    94: (NUMBER, NUMBER, FRAMES),
    95: ({bytes: range(60 * 1024 + 1)},),
    96: (NUMBER, NUMBER),
}


# --- the command, for what dtvn_verify.py leaves to this file ----------------------------------------


def main(kind, path, chain, against):
    """Prints which member a file convicts; or what two certificates prove, and whether both can be true."""
    if kind == "evidence":
        print(*evidence(read(path, kind), chain), sep="\n")
        return 0
    proved = [Proved(read(file, kind), chain) for file in (path, against)]
    found = contradiction(*proved)
    print(
        *proved[0].sentences(),
        *proved[1].sentences(),
        *(found[-1] if found else ["both can be true"]),
        sep="\n",
    )
    return 1 if found else 0


def founded(data):
    """The genesis in a genesis.bin; Refused unless all its parties sealed it."""
    more = {b"2": (CONTINUES,), b"3": RAFT}.get(data[15:16], ())  # that a later form has behind the others
    form = 1 + len(more)
    terms = (str, NUMBER, NUMBER, PARAMETERS, NUMBER, *more)
    record = ((bytes, MEMBER, [PRINCIPAL, MANY]), [bytes, MANY])
    whole = (f"dtvn-genesis-{form}", terms, [record, MANY], [(str, bytes), MANY])
    _, (name, created, count, parameters, *rest), records, seals = opened(data, whole, "the genesis")
    invalid = "invalid_genesis", "genesis"
    joined = f"records: {len(records)} of {count} parties have joined"
    need(len(records) == count, *invalid, f"the genesis is invalid: {joined}")
    members = [member for (_, member, _), _ in records]
    principals = sorted((row for (_, _, rows), _ in records for row in rows), key=lambda row: row[0])
    genesis = pack([name, created, members, principals, parameters, False, *rest])
    keys = dict(named(members))
    sealed = b"dtvn/v1/genesis-seal\0" + hashlib.sha256(b"dtvn/v1/genesis\0" + genesis).digest()
    for name, signature in seals:
        good = name in keys and signed(keys[name], sealed, signature)
        why = f"the genesis is invalid: seals: the seal of '{shown(name)}' is not of this genesis"
        need(good, *invalid, why)
    absent = ", ".join(shown(name) for name in keys if name not in dict(seals))
    why = f"the genesis is invalid: it is not sealed yet: {absent} must still sign it"
    need(not absent, *invalid, why)
    return genesis


def continued(cluster, epoch, sequence, _state, _log, _time, signers):
    """The additional sentence for a certificate of a cluster that continues another one."""
    who = f"what {', '.join(shown(name) for name, _ in signers)} signed of cluster {cluster.hex()}"
    where = f"{who} at sequence {sequence}, epoch {epoch}; what that one acknowledged later may be lost"
    return f"continued, not proved by all: its cluster begins with {where}"


def signed(key, data, signature):
    """Whether this is an Ed25519 signature of `data`."""
    try:
        return signing.VerifyKey(key).verify(data, signature) == data
    except exceptions.CryptoError:
        return False


def contradiction(one, other):
    """Why two certificates cannot both be true, as (code, place, names of the members that signed both,
    sentences); None if they can."""
    first, second = sorted((one, other), key=lambda proved: proved.sequence)
    if first.sequence == second.sequence:
        code, lies = "two_entries", first.entry != second.entry
        why = f"two entries at sequence {first.sequence}"
    else:
        code, lies = "changed_final", changed_what_was_final(first, second)
        ticket = f"ticket {shown(first.ticket)} of event {shown(first.event)} was final at sequence"
        why = f"{ticket} {first.sequence} and another one at sequence {second.sequence}"
    if not lies:
        return None
    keys = [key for _, key in other.signers]
    names = [shown(name) for name, key in one.signers if key in keys]
    enough = one.chain.faults(min(len(one.members), len(other.members))) + 1
    said = f"convicted, having signed both: {', '.join(names) or 'nobody'} (f + 1 = {enough})"
    return code, f"sequence {first.sequence}", names, [f"contradiction: {why}", said]


def changed_what_was_final(first, second):
    """Whether a ticket's state (not its terms) changed after it was final: a final dispute, or consumed if
    the second state has 23 fields, which no ticket has that was annulled, left or entered again."""
    same_ticket = (first.event, first.ticket) == (second.event, second.ticket)
    final = same_ticket and first.ticket_state and first.ticket_state[2] in (3, 5)
    final = final and (first.ticket_state[2] == 5 or second.state[:3] == b"\xdc\0\x17")
    return final and second.state and first.ticket_state[:15] != (second.ticket_state or [])[:15]


# --- evidence ----------------------------------------------------------------------------------------

# Code of two statements -> (their kind, the fields besides epoch and sender that are equal; others differ).
CRIMES = {
    "double_proposal": (PROPOSAL, ("view", "sequence")),
    "prepare": (PREPARE, ("view", "sequence")),
    "commit": (COMMIT, ("view", "sequence")),
    "checkpoint": (CHECKPOINT, ("sequence",)),
    "receipt": (RECEIPT, ("sequence",)),
    "view_change": (VIEW_CHANGE, ("view",)),
    "new_view": (NEW_VIEW, ("view",)),
    "continuation": (CONTINUATION, ()),
    "hidden_commit": (COMMIT, ()),
}
NO_CONTRADICTION = "the two statements do not contradict each other"


def evidence(data, chain):
    """One sentence: which member signed statements convict, and of what; Refused if they convict none."""
    name, code, epoch, where = convicted(data, chain)
    yield f"{name} is convicted: {code}, epoch {epoch}, {where}"


def convicted(data, chain):
    """(name, code, epoch, where) of the member that evidence convicts; Refused if it convicts none."""
    form = (NUMBER, TAG, str, [bytes, MANY])
    version, tag, code, frames = opened(data, form, "the evidence")
    why = f"evidence of version {version}; this verifier knows 1"
    need(version == 1, "unknown_version", "evidence", why)
    why = "the evidence is of another cluster than this chain"
    need(tag == chain.cluster[:8], "other_cluster", "evidence", why)
    counts = dict.fromkeys(CRIMES, 2) | {"bad_view_change": 1, "event_vote": 1}
    counts["bad_new_view"] = max(1, len(frames))
    why = f"{shown(code)} with {len(frames)} frames is no evidence that this verifier knows"
    need(len(frames) == counts.get(code), "unknown_evidence", shown(code), why)
    if code == "bad_view_change":
        said, where = bad_view_change(frames[0], chain)
    elif code == "bad_new_view":
        said, where = bad_new_view(frames, chain)
    elif code == "hidden_commit":
        said, where = hidden_commit(*frames, chain)
    elif code == "event_vote":
        said, where = second_file(code, "dtvn_verify_transcript.py").voted_twice(frames[0], chain)
    else:
        said, where = said_twice(code, frames, chain)
    return shown(member_of(said, chain)[0]), code, said[0], where


def said_twice(code, frames, chain):
    """Checks two statements of which an honest member makes only one; returns (the first, where)."""
    kind, equal = CRIMES[code]
    one, other = [statement(frame, kind, chain) for frame in frames]
    same = 2 + len(equal)
    need(one[:same] == other[:same] and one != other, "no_contradiction", code, NO_CONTRADICTION)
    where = ", ".join(f"{name} {number}" for name, number in zip(equal, one[2:same], strict=True))
    return one, where or "two ends of it"


def hidden_commit(commit, change, chain):
    """A COMMIT states that its sender holds a prepared certificate until a checkpoint covers it: a later
    VIEW-CHANGE without one of that view or a later one lied. Returns (the COMMIT, where)."""
    one, other = statement(commit, COMMIT, chain), statement(change, VIEW_CHANGE, chain)
    view, sequence = one[2:4]
    hides = one[:2] == other[:2] and view < other[2]
    if hides and any(statement(frame, CHECKPOINT)[2] >= sequence for frame in other[3]):
        hides = False
    if hides:
        held = (statement(frame, PROPOSAL) for frame, _ in other[4])
        hides = not any(each[3] == sequence and each[2] >= view for each in held)
    need(hides, "no_contradiction", "hidden_commit", NO_CONTRADICTION)
    return one, f"sequence {sequence}, view {other[2]}"


def statement(frame, kind, chain=None):
    """The fields of a member's statement; its signature is checked if `chain` is given."""
    found, body, signature, _ = opened(frame, FRAME, "a statement")
    why = "a statement is of a kind that cannot stand there"
    need(found == kind, "wrong_statement", "statement", why)
    said = opened(body, SAID[kind], "a statement")
    if chain:
        chain.check(member_of(said, chain), kind, body, signature)
    return said


def member_of(said, chain):
    """(name, key) of the sender of a statement."""
    epoch, sender = said[:2]
    last = len(chain.epochs) - 1
    why = f"epoch {epoch} is not in this chain, which ends with {last}"
    need(epoch <= last, "unknown_epoch", f"epoch {epoch}", why)
    members, _ = chain.epochs[epoch]
    why = f"epoch {epoch} has no member {sender}"
    need(sender < len(members), "unknown_member", f"member {sender}", why)
    return members[sender]


# --- evidence of broken views ------------------------------------------------------------------------

NULL_BATCH = hashlib.sha256(b"dtvn/v1/batch/null\0").digest()  # fills a sequence without a prepared batch
# The widest window that any cluster may have: a certificate beyond it proves nothing in any cluster.
SPAN_MAX = (1 << 20) + 1
# Most statements in one message, as in DTVN itself. A verifier with a larger bound may find a sender of more
# statements honest.
STATEMENTS_MAX = 1 << 16
UNDECIDED = "this verifier cannot decide"
TOO_MANY = "undecided_size", "statements", f"too many statements in one message: {UNDECIDED}"


class ProvesNothing(Exception):
    """A proof in a VIEW-CHANGE is invalid: its sender is guilty. Not Refused, which has other causes."""


def bad_view_change(frame, chain):
    """Checks that a VIEW-CHANGE does not prove what it claims; returns (its fields, where)."""
    said = statement(frame, VIEW_CHANGE, chain)
    lies, view = check_view_change(frame, said[0], chain) is None, f"view {said[2]}"
    need(lies, "valid_view_change", view, "this VIEW-CHANGE proves what it claims")
    return said, view


def bad_new_view(frames, chain):
    """Checks that a NEW-VIEW does not follow from the VIEW-CHANGEs after it: (its fields, where)."""
    said = statement(frames[0], NEW_VIEW, chain)
    lies, view = not follows(said, frames[1:], chain), f"view {said[2]}"
    need(lies, "valid_new_view", view, "this NEW-VIEW follows from its VIEW-CHANGEs")
    return said, view


# --- a NEW-VIEW ---


def follows(said, view_changes, chain):
    """Whether a NEW-VIEW follows from these VIEW-CHANGEs; Refused if one of them is missing."""
    epoch, sender, view, changes, proposals = said
    count = len(chain.epochs[epoch][0])
    senders = [each for each, _ in changes]
    if len(senders) != chain.quorum(count) or senders != sorted(set(senders)) or sender != view % count:
        return False
    valid = {}
    for frame in view_changes:
        found = check_view_change(frame, epoch, chain)
        if found is not None:
            valid[found["digest"]] = found
    used = [(each, valid[digest]) for each, digest in changes if digest in valid]
    if any((found["sender"], found["view"]) != (each, view) for each, found in used):
        return False
    why = "the VIEW-CHANGEs that this NEW-VIEW names are not all here"
    need(len(used) == len(changes), "missing_view_change", f"view {view}", why)
    # The proposals' signatures are not checked: the NEW-VIEW's own signature covers their content.
    reproposed = [statement(frame, PROPOSAL) for frame in proposals]
    slots = plan([found for _, found in used])
    pairs = itertools.zip_longest(reproposed, slots, fillvalue=())
    return all(proposal == [epoch, sender, view, *slot] for proposal, slot in pairs)


def plan(view_changes):
    """(sequence, digest) of all that the view must decide again: from the newest checkpoint on, no gaps."""
    base, chosen = max(found["stable"] for found in view_changes), {}
    for found in view_changes:
        for view, sequence, digest in found["prepared"]:
            chosen[sequence] = max(chosen.get(sequence, (view, digest)), (view, digest))
    last = max(chosen, default=base)
    return ((sequence, chosen.get(sequence, (0, NULL_BATCH))[1]) for sequence in range(base + 1, last + 1))


# --- a VIEW-CHANGE ---


def check_view_change(frame, epoch, chain):
    """What a VIEW-CHANGE of `epoch` proves; None: one of its proofs is invalid; Refused: undecided here.

    Only what its sender signed is judged: any party may have added an attachment to the envelope.
    """
    said = statement(frame, VIEW_CHANGE, chain)
    why = "a frame beside it is no VIEW-CHANGE of its epoch"
    need(said[0] == epoch, "other_epoch", f"epoch {said[0]}", why)
    members, after = chain.epochs[epoch]
    _, body, _, _ = opened(frame, FRAME, "a statement")
    digest = hashlib.sha256(bytes([VIEW_CHANGE]) + body).digest()
    try:
        inside = statements_inside(said, chain)
        foreign = any(fields[0] != epoch for _, fields in inside.values())
        why = f"it rests on statements of another epoch: {UNDECIDED}"
        need(not foreign, "undecided_mixed", f"epoch {epoch}", why)
        low = stable(said[3], inside, chain.quorum(len(members))) if said[3] else after
        slots = prepared(said, inside, chain, low)
    except ProvesNothing:
        return None
    return {"digest": digest, "sender": said[1], "view": said[2], "stable": low, "prepared": slots}


def stable(frames, inside, q):
    """The sequence of the checkpoint that exactly q equal CHECKPOINTs prove."""
    votes = by_distinct(frames, inside, CHECKPOINT)
    if len(votes) != q or votes[0][2] < 1 or any(vote[2:] != votes[0][2:] for vote in votes):
        raise ProvesNothing
    return votes[0][2]


def prepared(said, inside, chain, low):
    """The certificates above the checkpoint at `low`, [view, sequence, digest] each, sequences ascending.

    Each is a proposal of an earlier view by its primary, and equal PREPAREs of exactly q - 1 other members.
    """
    count, slots, previous = len(chain.epochs[said[0]][0]), [], low
    for frame, prepares in said[4]:
        kind, proposal = inside[frame]
        votes = by_distinct(prepares, inside, PREPARE)
        if kind != PROPOSAL or len(votes) != chain.quorum(count) - 1:
            raise ProvesNothing
        view, sequence, _ = proposal[2:]
        primary = view % count
        if proposal[1] != primary or any(vote[1] == primary or vote[2:] != proposal[2:] for vote in votes):
            raise ProvesNothing
        if view >= said[2] or not previous < sequence <= low + SPAN_MAX:
            raise ProvesNothing
        slots.append(proposal[2:])
        previous = sequence
    return slots


def by_distinct(frames, inside, kind):
    """The fields of these statements, which must all be of one kind and of distinct senders."""
    found = [inside[frame] for frame in frames]
    if any(each != kind for each, _ in found) or len({fields[1] for _, fields in found}) != len(found):
        raise ProvesNothing
    return [fields for _, fields in found]


# --- the statements inside ---


def statements_inside(said, chain):
    """frame -> (kind, fields) of every statement inside a VIEW-CHANGE, signatures checked.

    All are decoded and counted before any signature is checked; then they are checked in their order. The
    first statement that cannot be judged or proves nothing determines the result.
    """
    wanted = [(frame, CHECKPOINT) for frame in said[3]]
    for proposal, prepares in said[4]:
        wanted += [(proposal, PROPOSAL), *((frame, PREPARE) for frame in prepares)]
    room, messages, inside = STATEMENTS_MAX - len(wanted), [], {}
    need(room >= 0, *TOO_MANY)
    for frame, _ in wanted:
        messages.append(decoded(frame))
        room -= statement_count(*messages[-1][:2])
        need(room >= 0, *TOO_MANY)
    for (frame, right), (kind, fields, body, signature, attachment) in zip(wanted, messages, strict=True):
        if frame in inside:
            continue
        if kind != right or attachment:
            raise ProvesNothing
        check(chain, fields, kind, body, signature)
        inside[frame] = kind, fields
    return inside


def decoded(frame):
    """(kind, fields, body, signature, attachment) of a frame of any kind."""
    try:
        kind, body, signature, attachment = opened(frame, FRAME, "a frame")
        fields = opened(body, (SAID | FORMS)[kind], "a message")
    except (ValueError, LookupError):
        raise ProvesNothing from None
    return kind, fields, body, signature, attachment


def statement_count(kind, fields):
    """Number of statements that a message carries directly."""
    if kind == VIEW_CHANGE:
        return len(fields[3]) + sum(1 + len(prepares) for _, prepares in fields[4])
    if kind == NEW_VIEW:
        return len(fields[4])
    if kind == 67:  # a range of the log, each entry with its COMMITs
        return sum(len(commits) for _, _, commits in fields[0]) + len(fields[1])
    if kind == 77:
        return len(fields[2]) + len(fields[3])
    return len(fields[0]) if kind in (69, 81) else 0


def check(chain, fields, kind, body, signature):
    """Check that the sender in `fields` signed them."""
    epoch, sender = fields[:2]
    last = len(chain.epochs) - 1
    why = f"epoch {epoch} is not in this chain, which ends with {last}: {UNDECIDED}"
    need(epoch <= last, "undecided_epoch", f"epoch {epoch}", why)
    if sender >= len(chain.epochs[epoch][0]):
        raise ProvesNothing
    try:
        chain.check(chain.epochs[epoch][0][sender], kind, body, signature)
    except ValueError:
        raise ProvesNothing from None
