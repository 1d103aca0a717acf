#!/usr/bin/env python3
"""Checks DTVN's certificates and evidence without a server and without DTVN: needs Python 3.11 and PyNaCl.

    dtvn_verify.py certificate CERT --genesis CHAIN [--against OTHER]
    dtvn_verify.py evidence FILE --genesis CHAIN

CHAIN: from somebody you trust, the epoch chain or the genesis.bin that its parties sealed. Exit code 0: it holds; 1: it does not, or contradicts OTHER.
"""

# fmt: off
# ruff: noqa: E401, E501, DTZ001, I001, T201
import base64, hashlib, io, json, re, sys
from datetime import datetime, timedelta
from pathlib import Path

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

STATES = ("", "ISSUED", "VALIDATED", "CONSUMED", "DISPUTED", "DISPUTED")  # 5: upheld for good
COMMIT, CHECKPOINT, VIEW_CHANGE, RECEIPT = 18, 19, 21, 24
# Evidence of two statements: their kind, and what is equal in both (besides epoch and sender) while the rest differs.
DOUBLES = {"double_proposal": (16, "view sequence"), "prepare": (17, "view sequence"), "commit": (COMMIT, "view sequence"),
           "view_change": (VIEW_CHANGE, "view"), "new_view": (22, "view"), "checkpoint": (CHECKPOINT, "sequence"),
           "receipt": (RECEIPT, "sequence")}

def need(condition, why):
    if not condition:
        raise ValueError(why)

def shown(text):
    return re.sub("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", "?", text[:128])

def digest(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def unpack(data):
    """The one MessagePack value in `data`: arrays, bytes, texts, whole numbers, true and false."""
    stream = io.BytesIO(data)
    def take(size):
        taken = stream.read(size)
        need(len(taken) == size, "it ends too early")
        return taken
    def number(width):
        return int.from_bytes(take(width), "big")
    def value(depth):
        head = number(1)
        if head < 0x80 or head in (0xC2, 0xC3):
            return head if head < 0x80 else head == 0xC3
        if 0xCC <= head <= 0xCF:
            return number(1 << head - 0xCC)
        if 0xC4 <= head <= 0xC6:
            return take(number(1 << head - 0xC4))
        if 0xA0 <= head < 0xC0 or 0xD9 <= head <= 0xDB:
            return take(head & 31 if head < 0xC0 else number(1 << head - 0xD9)).decode()
        need((0x90 <= head < 0xA0 or head in (0xDC, 0xDD)) and depth < 16, "it holds what no message holds")
        return [value(depth + 1) for _ in range(head & 15 if head < 0xA0 else number(2 << head - 0xDC))]
    found = value(0)
    need(pack(found) == data, "it is not in canonical form")
    return found

def pack(value):
    """Canonical MessagePack: every number and length in its shortest form."""
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    heads = {int: (0, 128, 0xCC, 1), str: (0xA0, 32, 0xD9, 1), bytes: (0, 0, 0xC4, 1), list: (0x90, 16, 0xDB, 2)}
    kind = type(value)
    body = value if kind is bytes else value.encode() if kind is str else b"".join(map(pack, value)) if kind is list else b""
    size, (small, limit, head, least) = value if kind is int else len(value) if kind is list else len(body), heads[kind]
    if size < limit:
        return bytes([small | size]) + body
    width = next(width for width in (1, 2, 4, 8) if width >= least and size < 1 << 8 * width)
    return bytes([head + width.bit_length() - 1]) + size.to_bytes(width, "big") + body

def fields(value, shape, what):
    """The fields of `what`, their types checked, one letter each: int, str, bytes, hash, list, flag."""
    kinds = {"i": int, "s": str, "b": bytes, "h": bytes, "l": list, "f": bool}
    need(isinstance(value, list) and len(value) == len(shape), f"{what} has not the form of one")
    for field, kind in zip(value, shape, strict=True):
        need(type(field) is kinds[kind] and (kind != "h" or len(field) == 32), f"{what} has a bad field")
    return value

def read(path, kind):
    """The bytes inside a file: bare, in JSON, or in an answer of the REST API."""
    data = Path(path).read_bytes()
    if not data.startswith(b"{"):
        return data
    found = json.loads(data.decode(), parse_constant=int)  # UTF-8 only; int("NaN") is an error
    inner = found["data"] if set(found) == {"success", "data"} and found["success"] is True else found
    need(set(inner) == {"format", kind} and inner["format"] == f"dtvn-{kind}/1", f"{path} is no {kind}")
    decoded = base64.b64decode(inner[kind], validate=True)
    need(base64.b64encode(decoded).decode() == inner[kind], f"{path}: not the one spelling of its base64")
    return decoded

def climb(index, size, found, path):
    """RFC 9162, 2.1.3.2: the root over `size` leaves to which `path` leads from the leaf at `index`."""
    last, wrong = size - 1, "its path does not lead to its checkpoint"
    for at in range(0, len(path), 32):
        need(index <= last > 0, wrong)
        left, sibling = index & 1 or index == last, path[at : at + 32]
        found = digest(b"\1", sibling, found) if left else digest(b"\1", found, sibling)
        while left and index and not index & 1:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    need(index == last == 0 and len(path) % 32 == 0, wrong)
    return found

class Chain:
    """Verified epochs: each with its members (name, key) and the sequence after which it begins."""
    def __init__(self, data):
        found = unpack(data)
        data = self.founded(*found[1:3]) if len(found) == 4 else data
        version, genesis, handovers = [1, data, []] if len(found) in (4, 7) else fields(found, "ibl", "the epoch chain")
        need(version == 1, "the epoch chain is of a newer version")
        self.cluster = digest(b"dtvn/v1/genesis\0", genesis)
        self.epochs = [(self.named(fields(unpack(genesis), "silllfi", "the genesis")[2]), 0)]
        for epoch, handover in enumerate(handovers):
            end = Proved(handover, self)
            is_end = [end.kind, end.code, end.epoch, end.checkpoint] == ["reconfigure", "ok", epoch, (epoch, end.sequence)]
            begun, rows = fields(unpack(end.state), "il", "a hand-over")
            need(is_end and begun == epoch + 1, f"epoch {epoch} does not end with this hand-over")
            self.epochs.append((self.named(rows), end.sequence))
    @staticmethod
    def founded(terms, records):
        """The genesis in the file that parties sealed; who takes it from somebody he trusts needs no seals."""
        name, created, _, parameters, version = fields(terms, "siili", "the terms")
        parties = [fields(fields(record, "ll", "a record")[0], "hll", "a party") for record in records]
        principals = sorted((row for _, _, rows in parties for row in rows), key=lambda row: row[0])
        return pack([name, created, [member for _, member, _ in parties], principals, parameters, False, version])
    @staticmethod
    def named(rows):
        members = [tuple(fields(row, "shsi", "a member")[:2]) for row in rows]
        distinct = all(len(set(column)) == len(members) for column in zip(*members, strict=True))
        need(distinct and 1 <= len(members) <= 31, "members are too many or share a name or a key")
        return members
    def members(self, epoch, sequence):
        """Of `epoch`, which must hold `sequence` (None: any)."""
        need(epoch < len(self.epochs), f"epoch {epoch} is not in this chain, which ends with {len(self.epochs) - 1}")
        last = self.epochs[epoch + 1][1] if epoch + 1 < len(self.epochs) else 1 << 64
        need(sequence is None or self.epochs[epoch][1] < sequence <= last, f"sequence {sequence} is not in epoch {epoch}")
        return self.epochs[epoch][0]
    def check(self, member, kind, body, signature):
        data = b"dtvn/v1/signed\0" + self.cluster + bytes([kind]) + body
        try:
            need(len(signature) == 64 and crypto_sign_open(signature + data, member[1]) == data, "")
        except (BadSignatureError, ValueError):
            raise ValueError(f"the signature of {shown(member[0])} does not fit what it should say") from None

class Proved:
    """What a certificate proves."""
    def __init__(self, data, chain):
        version, tag, leaf, sides, path, self.epoch, self.sequence, batch, previous, proof = fields(
            unpack(data), "ibbibiihhl", "the certificate")
        need(version == 1 and tag == chain.cluster[:8], "the certificate is of another cluster than this chain")
        self.index, operation, self.code, self.time, self.state = fields(unpack(leaf), "ilsib", "the leaf")
        self.kind, self.event, self.ticket, *_ = fields(operation, "sssssibb", "the operation")
        root = digest(b"\0", leaf)
        need(len(path) % 32 == 0 and sides >> len(path) // 32 == 0, "its path is none")
        for bit, at in enumerate(range(0, len(path), 32)):
            pair = (path[at : at + 32], root)
            root = digest(b"\1", *(pair if sides >> bit & 1 else pair[::-1]))
        self.entry = digest(b"dtvn/v1/entry\0", pack([self.epoch, self.sequence, batch, root, self.time, previous]))
        self.members, self.checkpoint = chain.members(self.epoch, self.sequence), None
        if proof[:1] == ["receipts"]:
            kind, body, signatures = RECEIPT, [self.epoch, 0, self.sequence, self.entry], fields(proof, "sl", "it")[1]
        else:
            word, epoch, size, state_root, then, path, signatures = fields(proof, "siihibl", "the proof")
            need(word == "checkpoint" and epoch >= self.epoch, "its proof is none")
            self.members, self.checkpoint = chain.members(epoch, size), (epoch, size)
            kind, body = CHECKPOINT, [epoch, 0, size, state_root, climb(self.sequence - 1, size, self.entry, path), then]
        count, senders = len(self.members), [fields(pair, "ib", "a signature")[0] for pair in signatures]
        needed = (count + (count - 1) // 3 + 2) // 2
        need(len(senders) == needed, f"it has {len(senders)} signatures; exactly {needed} of {count} are needed")
        need(senders == sorted(set(senders)) and senders[-1] < count, "its signers are not distinct members in ascending order")
        for sender, signature in signatures:
            chain.check(self.members[sender], kind, pack([body[0], sender, *body[2:]]), signature)
        self.signers = [self.members[sender] for sender in senders]
        found = fields(unpack(self.state), "ssisiiisssbsssl", "the state") if self.state[:1] == b"\x9f" else []
        self.ticket_state = found if found[:2] == [self.event, self.ticket] else None
    def sentences(self):
        liars, (gate, device) = (len(self.members) - 1) // 3, (self.ticket_state or [""] * 13)[11:13]
        moment = (f"{self.time} microseconds after 1970" if self.time >= 253402300800000000 else
                  f"{datetime(1970, 1, 1) + timedelta(microseconds=self.time):%Y-%m-%d %H:%M:%S.%f} UTC")
        yield (f"ticket {shown(self.ticket)} of event {shown(self.event)}: {shown(self.kind)} -> {shown(self.code)} "
               f"at sequence {self.sequence}, index {self.index}, epoch {self.epoch}, log time {moment}")
        tolerance = f"of whom {liars} may lie" if liars else "crash-only, no liar tolerated"
        names = ", ".join(shown(name) for name, _ in self.signers)
        yield f"signed by {names}: {len(self.signers)} of {len(self.members)} members, {tolerance}"
        yield ("proved by the log under their checkpoint at sequence {1}, epoch {0}".format(*self.checkpoint)
               if self.checkpoint else "proved by their receipts for this sequence")
        if self.ticket_state:
            place = (gate and f", gate {shown(gate)}") + (device and f", device {shown(device)}")
            yield f"right after it the ticket was {STATES[self.ticket_state[2]]}{place}"
        yield "It is an outcome at one point of the log and says nothing about what came later."

def contradiction(one, other):
    """Why both cannot be true, and who signed both; nothing when they can."""
    first, second = sorted((one, other), key=lambda proved: proved.sequence)
    same, why = (first.event, first.ticket) == (second.event, second.ticket), ""
    final = same and first.ticket_state and first.ticket_state[2] in (3, 5)
    if first.sequence == second.sequence and first.entry != second.entry:
        why = f"two entries at sequence {first.sequence}"
    elif first.sequence != second.sequence and final and second.state and first.state != second.state:
        why = (f"ticket {shown(first.ticket)} of event {shown(first.event)} was final at sequence {first.sequence} "
               f"and another one at sequence {second.sequence}")
    if why:
        names = [shown(name) for name, key in one.signers if key in [known for _, known in other.signers]]
        weak = (min(len(one.members), len(other.members)) - 1) // 3 + 1
        yield f"contradiction: {why}\nconvicted, having signed both: {', '.join(names) or 'nobody'} (f + 1 = {weak})"

def evidence(data, chain):
    """Whom two signed statements convict, and of what."""
    version, tag, code, frames = fields(unpack(data), "ibsl", "the evidence")
    need(version == 1 and tag == chain.cluster[:8], "the evidence is of another cluster than this chain")
    said = [fields(unpack(frame), "ibbb", "a statement") for frame in frames]
    one, other = (unpack(statement[1]) for statement in said)
    member = chain.members(one[0], None)[one[1]]
    for kind, body, signature, _ in said:
        chain.check(member, kind, body, signature)
    if code == "hidden_commit":
        wanted, claims = [COMMIT, VIEW_CHANGE], [unpack(unpack(frame)[1])[2] for frame in other[3]]
        held = [unpack(unpack(proof[0])[1]) for proof in other[4]]
        kept = any(claim >= one[3] for claim in claims) or any(p[3] == one[3] and p[2] >= one[2] for p in held)
        crime, where = one[:2] == other[:2] and one[2] < other[2] and not kept, f"sequence {one[3]}, view {other[2]}"
    else:
        wanted, names = [DOUBLES[code][0]] * 2, DOUBLES[code][1].split()
        crime = one[: 2 + len(names)] == other[: 2 + len(names)] and one != other
        where = ", ".join(f"{name} {number}" for name, number in zip(names, one[2:], strict=False))
    need(crime and [statement[0] for statement in said] == wanted, "the two statements do not contradict each other")
    yield f"{shown(member[0])} is convicted: {code}, epoch {one[0]}, {where}"

def main(kind, path, *options):
    try:
        given, even = dict(zip(options[::2], options[1::2], strict=False)), len(options) % 2 == 0
        need(even and kind in ("certificate", "evidence") and {"--genesis"} <= set(given) <= {"--genesis", "--against"}, __doc__)
        chain = Chain(read(given["--genesis"], "chain"))
        if kind == "evidence":
            print(*evidence(read(path, kind), chain), sep="\n")
            return 0
        proved = [Proved(read(file, kind), chain) for file in (path, given.get("--against")) if file]
        against = list(contradiction(*proved)) if len(proved) > 1 else []
        told = [line for each in proved for line in each.sentences()] + (against or ["both can be true"] * (len(proved) - 1))
        print(*told, sep="\n")
        return 1 if against else 0
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        print(f"not proved: {error}")
        return 1

if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # names are anybody's choice, and not every terminal's
    sys.exit(print(__doc__) if {"-h", "--help"} & set(sys.argv) else main(*sys.argv[1:]) if len(sys.argv) > 2 else __doc__)
