#!/usr/bin/env python3
"""Checks DTVN's certificates and evidence without a server and without DTVN: needs Python 3.11 and PyNaCl.

    dtvn_verify.py certificate CERT --genesis CHAIN [--against OTHER]
    dtvn_verify.py evidence FILE --genesis CHAIN
CHAIN: from somebody you trust, the epoch chain or the genesis.bin that its parties sealed. Exit code 0: it holds; 1: it does not, or contradicts OTHER.
"""

# fmt: off
# ruff: noqa: E401, E501, DTZ001, I001, T201
import base64, datetime, hashlib, io, pathlib, re, sys
import nacl.bindings, nacl.exceptions

STATES = ("", "ISSUED", "VALIDATED", "CONSUMED", "DISPUTED", "DISPUTED")  # 5: upheld for good
PROPOSAL, COMMIT, CHECKPOINT, VIEW_CHANGE, RECEIPT = 16, 18, 19, 21, 24
SAID = {PROPOSAL: "iiiih", 17: "iiiih", COMMIT: "iiiih", CHECKPOINT: "iiihhi", VIEW_CHANGE: "iiiVP", 22: "iiiNB", RECEIPT: "iiih"}
# Evidence of two statements: their kind (of the first one). Besides epoch and sender view or sequence are equal, and the rest differs.
CRIMES = {"double_proposal": 16, "prepare": 17, "commit": 18, "hidden_commit": 18, "checkpoint": 19, "view_change": 21, "new_view": 22, "receipt": 24}
# One letter for each type: int, text, word, bytes, hash, path, flag, list; lists of Bytes, Votes, Proofs (r: one), Names (n: one).
FITS = {"i": lambda v: type(v) is int and v <= 1 << 62, "s": lambda v: type(v) is str, "w": lambda v: type(v) is str and len(v) <= 256,
        "b": lambda v: type(v) is bytes, "h": lambda v: type(v) is bytes and len(v) == 32, "f": lambda v: type(v) is bool,
        "p": lambda v: type(v) is bytes and len(v) <= 2048 and len(v) % 32 == 0, "l": lambda v: type(v) is list,
        "B": lambda v: like(v, "b" * min(len(v), 1 << 15)), "V": lambda v: like(v, "b" * min(len(v), 31)), "r": lambda v: like(v, "bV"),
        "P": lambda v: like(v, "r" * min(len(v), 1 << 15)), "N": lambda v: like(v, "n" * min(len(v), 31)), "n": lambda v: like(v, "ih")}
# The one form of a file in JSON: nothing in it that JSON's readers disagree about. A space: any white space; K: what it holds.
FORM = (r'(?:I|\{ (?:"success" : true , "data" : I|"data" : I , "success" : true) \}) '.replace("I", r"\{ (?:F , B|B , F) \}")
        .replace("F", '"format" : "dtvn-K/1"').replace("B", '"K" : "[A-Za-z0-9+/]+={0,2}"').replace(" ", r"[ \t\r\n]*"))

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
        need(len(taken) == size, "these bytes end too early")
        return taken
    def number(width):
        return int.from_bytes(take(width), "big")
    def value(depth):
        head = number(1)
        if head in (0xC2, 0xC3):
            return head == 0xC3
        if head < 0x80 or 0xCC <= head <= 0xCF:
            return head if head < 0x80 else number(1 << head - 0xCC)
        if 0xC4 <= head <= 0xC6:
            return take(number(1 << head - 0xC4))
        if 0xA0 <= head < 0xC0 or 0xD9 <= head <= 0xDB:
            return take(head & 31 if head < 0xC0 else number(1 << head - 0xD9)).decode()
        need((0x90 <= head < 0xA0 or head in (0xDC, 0xDD)) and depth < 16, "these bytes hold what no message holds")
        return [value(depth + 1) for _ in range(head & 15 if head < 0xA0 else number(2 << head - 0xDC))]
    found = value(0)
    need(pack(found) == data, "these bytes are not in canonical form")
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

def like(value, shape):
    return type(value) is list and len(value) == len(shape) and all(FITS[kind](each) for kind, each in zip(shape, value, strict=True))
def fields(value, shape, what):
    """The fields of `what`, their types checked."""
    need(like(value, shape), f"{what} has not the form of one")
    return value

def read(path, kind):
    """The bytes inside a file: bare, in JSON, or in an answer of the REST API."""
    found = data = pathlib.Path(path).read_bytes()
    need(b"\x90" <= data[:1] < b"\xa0" or data[:1] == b"{", f"this file is no {kind}: it begins neither with {{ nor as its bytes do")
    if data[:1] == b"{":
        form = f'{{"format": "dtvn-{kind}/1", "{kind}": "<base64>"}}'
        need(re.fullmatch(FORM.replace("K", kind).encode(), data), f'this file is no {kind}: not {form}, alone or the "data" of a good answer')
        text = data[data.index(b'"%b"' % kind.encode()) :].split(b'"')[3]
        found = base64.b64decode(text[: len(text) & ~3])
        need(base64.b64encode(found) == text, f"the {kind} in this file is not the one spelling of its base64")
    need(len(found) <= {"certificate": 1 << 18, "chain": 1 << 24, "evidence": 1 << 23}[kind], f"this file is no {kind}: {len(found)} bytes are too many")
    return found

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
    need(index == last == 0, wrong)
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
        principals = sorted((fields(row, "shl", "a principal") for _, _, rows in parties for row in rows), key=lambda row: row[0])
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
            need(len(signature) == 64 and nacl.bindings.crypto_sign_open(signature + data, member[1]) == data, "")
        except (nacl.exceptions.BadSignatureError, ValueError):
            raise ValueError(f"the signature of {shown(member[0])} does not fit what it should say") from None

class Proved:
    """What a certificate proves."""
    def __init__(self, data, chain):
        version, tag, leaf, sides, path, self.epoch, self.sequence, batch, previous, proof = fields(unpack(data), "ibbipiihhl", "the certificate")
        need(version == 1 and tag == chain.cluster[:8], "the certificate is of another cluster than this chain")
        self.index, operation, self.code, self.time, self.state = fields(unpack(leaf), "ilwib", "the leaf")
        self.kind, self.event, self.ticket, *_ = fields(operation, "sssssibb", "the operation")
        root = digest(b"\0", leaf)
        need(sides >> len(path) // 32 == 0, "its path names more sides than it has hashes")
        for bit, at in enumerate(range(0, len(path), 32)):
            root = digest(b"\1", *((path[at : at + 32], root) if sides >> bit & 1 else (root, path[at : at + 32])))
        self.entry = digest(b"dtvn/v1/entry\0", pack([self.epoch, self.sequence, batch, root, self.time, previous]))
        self.members, self.checkpoint = chain.members(self.epoch, self.sequence), None
        if proof[:1] == ["receipts"]:
            kind, body, signatures = RECEIPT, [self.epoch, 0, self.sequence, self.entry], fields(proof, "sl", "it")[1]
        else:
            word, epoch, size, state_root, then, path, signatures = fields(proof, "siihipl", "the proof")
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
        need(not found or (0 < found[2] < 6 and like(found[14], "i" * len(found[14]))), "the state has not the form of one")
        self.ticket_state = found if found[:2] == [self.event, self.ticket] else None
    def sentences(self):
        liars, (gate, device) = (len(self.members) - 1) // 3, (self.ticket_state or [""] * 13)[11:13]
        moment = (f"{self.time} microseconds after 1970" if self.time >= 253402300800000000 else
                  f"{datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=self.time):%Y-%m-%d %H:%M:%S.%f} UTC")
        yield (f"ticket {shown(self.ticket)} of event {shown(self.event)}: {shown(self.kind)} -> {shown(self.code)} "
               f"at sequence {self.sequence}, index {self.index}, epoch {self.epoch}, log time {moment}")
        tolerance, names = f"of whom {liars} may lie" if liars else "crash-only, no liar tolerated", ", ".join(shown(name) for name, _ in self.signers)
        yield f"signed by {names}: {len(self.signers)} of {len(self.members)} members, {tolerance}"
        log = "the log under their checkpoint at sequence {1}, epoch {0}"
        yield f"proved by {log.format(*self.checkpoint) if self.checkpoint else 'their receipts for this sequence'}"
        if self.ticket_state:
            place = (gate and f", gate {shown(gate)}") + (device and f", device {shown(device)}")
            yield f"right after it the ticket was {STATES[self.ticket_state[2]]}{place}"
        yield "It is an outcome at one point of the log and says nothing about what came later."

def contradiction(one, other):
    """Why both cannot be true, and who signed both; nothing when they can."""
    first, second = sorted((one, other), key=lambda proved: proved.sequence)
    why, final = "", (first.event, first.ticket) == (second.event, second.ticket) and first.ticket_state and first.ticket_state[2] in (3, 5)
    if first.sequence == second.sequence and first.entry != second.entry:
        why = f"two entries at sequence {first.sequence}"
    elif first.sequence != second.sequence and final and second.state and first.state != second.state:
        why = f"ticket {shown(first.ticket)} of event {shown(first.event)} was final at sequence {first.sequence} and another one at sequence {second.sequence}"
    if why:
        names = [shown(name) for name, key in one.signers if key in [known for _, known in other.signers]]
        weak = (min(len(one.members), len(other.members)) - 1) // 3 + 1
        yield f"contradiction: {why}\nconvicted, having signed both: {', '.join(names) or 'nobody'} (f + 1 = {weak})"

def statement(frame, kind, chain=None):
    """The fields of what a member said, its signature checked if `chain` is given."""
    found, body, signature, _ = fields(unpack(frame), "ibbb", "a statement")
    need(found == kind, "a statement is of a kind that cannot stand there")
    said = fields(unpack(body), SAID[kind], "a statement")
    if chain:
        chain.check(chain.members(said[0], None)[said[1]], kind, body, signature)
    return said

def evidence(data, chain):
    """Whom two signed statements convict, and of what."""
    version, tag, code, frames = fields(unpack(data), "ibsB", "the evidence")
    need(version == 1 and tag == chain.cluster[:8], "the evidence is of another cluster than this chain")
    need(code in CRIMES and len(frames) == 2, f"{shown(code)} with {len(frames)} frames is no evidence that this verifier knows")
    hidden, kind = code == "hidden_commit", CRIMES[code]
    one, other = statement(frames[0], kind, chain), statement(frames[1], VIEW_CHANGE if hidden else kind, chain)
    names = [] if hidden else ["sequence"] if kind in (CHECKPOINT, RECEIPT) else ["view", "sequence"][: 1 + (kind < CHECKPOINT)]
    crime, where = one != other, ", ".join(f"{name} {number}" for name, number in zip(names, one[2:], strict=False))
    if hidden:
        held, stable = [statement(proof, PROPOSAL) for proof, _ in other[4]], [statement(frame, CHECKPOINT) for frame in other[3]]
        kept = any(each[2] >= one[3] for each in stable) or any(each[3] == one[3] and each[2] >= one[2] for each in held)
        crime, where = one[2] < other[2] and not kept, f"sequence {one[3]}, view {other[2]}"
    need(crime and one[: 2 + len(names)] == other[: 2 + len(names)], "the two statements do not contradict each other")
    yield f"{shown(chain.members(one[0], None)[one[1]][0])} is convicted: {code}, epoch {one[0]}, {where}"

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
        print(*(line for each in proved for line in each.sentences()), *(against or ["both can be true"] * (len(proved) - 1)), sep="\n")
        return 1 if against else 0
    except (OSError, ValueError, TypeError, LookupError) as error:
        print("not proved:", error if isinstance(error, (OSError, ValueError)) else "a part of it has not the form that it should have")
        return 1

if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # names are anybody's choice, and not every terminal's
    sys.exit(print(__doc__) if {"-h", "--help"} & set(sys.argv) else main(*sys.argv[1:]) if len(sys.argv) > 2 else __doc__)
