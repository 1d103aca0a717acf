"""Checks DTVN's certificates and evidence without a server and without DTVN: needs Python 3.11 and PyNaCl.

    dtvn_verify.py certificate CERT --genesis CHAIN [--against OTHER]
    dtvn_verify.py evidence FILE --genesis CHAIN
    dtvn_verify.py transcript FILE --genesis CHAIN

CHAIN, from a source you trust: the epoch chain, or the genesis.bin that its parties sealed. Exit code 0: it
holds, 3: it holds and is a repeat, no admission, 1: it does not hold. Evidence, --against, a genesis.bin, a
continued cluster: with dtvn_verify_evidence.py beside; transcripts, and evidence of votes on events: with
dtvn_verify_transcript.py.
"""

import base64
import importlib
import io
import pathlib
import re
import sys
from datetime import UTC, datetime, timedelta

from nacl import exceptions, signing
from nacl.bindings import crypto_hash_sha256 as sha256

RELEASE = "0.2.0"
# MessagePack: first byte -> (type, value or length, 0), or (type, 0, how many bytes after it hold that).
BEGINS = {0xC2: (bool, 0, 0), 0xC3: (bool, 1, 0)} | {n: (int, n, 0) for n in range(128)}
BEGINS |= {0x90 + n: (list, n, 0) for n in range(16)} | {0xA0 + n: (str, n, 0) for n in range(32)}
BEGINS |= {0xC4 + n: (bytes, 0, 1 << n) for n in range(3)} | {0xCC + n: (int, 0, 1 << n) for n in range(4)}
BEGINS |= {0xD9 + n: (str, 0, 1 << n) for n in range(3)} | {0xDC + n: (list, 0, 2 << n) for n in range(2)}
FIRST_BYTE = {begins: byte for byte, begins in BEGINS.items()}
# Forms: type or exact text; {type: lengths}, {int: values}, {length: array}; (fields of array); [item, most]
NUMBER, TIME, WORD, MANY = {int: range((1 << 62) + 1)}, {int: range(1 << 63)}, {str: range(257)}, 1 << 24
TAG, HASH, SIGNATURE, PATH = ({bytes: lengths} for lengths in ([8], [32], [64], range(0, 2049, 32)))
MEMBER, PRINCIPAL = (str, HASH, str, NUMBER), (str, HASH, [(str, str), MANY])
PARAMETERS = {7: (NUMBER,) * 7, 8: (*(NUMBER,) * 7, {int: range(2, (1 << 31) + 1)})}  # and the version
GENESIS = (str, NUMBER, [MEMBER, MANY], [PRINCIPAL, MANY], PARAMETERS, bool, NUMBER)
CONTINUES = (HASH, NUMBER, NUMBER, HASH, HASH, NUMBER, [(str, HASH), 31])  # the last state of an old cluster
RAFT = ([CONTINUES, 1], "raft")  # what a genesis has besides if its members agree by Raft, and none may lie
CHAIN, EPOCH, VOTES = (NUMBER, bytes, [bytes, MANY]), (NUMBER, [MEMBER, MANY]), [(NUMBER, SIGNATURE), 31]
OPERATION, REPEAT = (str, str, str, str, str, NUMBER, bytes, bytes), {0: (), 2: (NUMBER, NUMBER)}
LEAF = {5: (NUMBER, OPERATION, WORD, NUMBER, bytes), 6: (NUMBER, OPERATION, WORD, NUMBER, bytes, REPEAT)}
LIFE = (str, str, {int: range(1, 6)}, str, *[NUMBER] * 3, *[str] * 3, bytes, *[str] * 3, [NUMBER, MANY])
ANSWER = (*LIFE, str, str, TIME, TIME, bool, str, TIME, bool)  # it names its ticket
TICKET = {15: LIFE, 23: ANSWER, 24: (*ANSWER, (str, str, NUMBER, NUMBER, NUMBER, bool, TIME, str, str))}
PROOF = {2: ("receipts", VOTES), 7: ("checkpoint", NUMBER, NUMBER, HASH, NUMBER, PATH, VOTES)}
PROOF |= {4: ("continuation", HASH, PATH, VOTES)}
CERTIFICATE = (NUMBER, TAG, bytes, NUMBER, PATH, NUMBER, NUMBER, HASH, HASH, PROOF)
BYTES_MAX = {"certificate": 1 << 18, "chain": 1 << 24, "evidence": 1 << 23, "transcript": 1 << 26}
STATES, Y10K = ("", "ISSUED", "VALIDATED", "CONSUMED", "DISPUTED", "UPHELD"), 253_402_300_800_000_000


class Refused(ValueError):
    """A file that proves nothing: a sentence, its stable code, and the place that the code is about."""

    def __init__(self, code, place, why):
        super().__init__(why)
        self.code, self.place = code, place


def need(condition, code="malformed", place="", why="another form"):
    """Raise Refused unless the condition holds."""
    if not condition:
        raise Refused(code, place, why)


def pack(value):
    """The canonical bytes of a value: its number or length takes as few bytes as possible."""
    kind, body = type(value), value.encode() if isinstance(value, str) else value
    number = int(value) if isinstance(value, int) else len(body)
    longer = ((kind, 0, width) for width in (1, 2, 4, 8) if number < 1 << 8 * width)
    begins = next(each for each in ((kind, number, 0), *longer) if each in FIRST_BYTE)
    head = bytes([FIRST_BYTE[begins]]) + number.to_bytes(8, "big")[8 - begins[2] :]
    return head + (b"".join(map(pack, value)) if kind is list else b"" if isinstance(value, int) else body)


def unpack(stream, form):
    """The next value in a stream; ValueError, LookupError or TypeError if it does not have this form."""
    kind, number, width = BEGINS[stream.read(1)[0]]
    number += int.from_bytes(stream.read(width), "big")
    if kind is list:
        form = form[number] if isinstance(form, dict) else form
        fields = form if isinstance(form, tuple) else form[:1] * min(number, form[1])
        need(len(fields) == number)
        return [unpack(stream, each) for each in fields]
    body = number if kind in (int, bool) else stream.read(number)
    value = body.decode() if kind is str else kind(body)
    size = value if kind in (int, bool) else len(value)
    need(size in form[kind] if isinstance(form, dict) else form in (kind, value))
    return value


def opened(data, form, what):
    """The value with these canonical bytes; Refused with the same sentence for every defect."""
    try:
        found = unpack(io.BytesIO(data), form)
        need(pack(found) == data)  # else cut, followed by something, or in a longer spelling
        return found
    except (ValueError, LookupError, TypeError):
        raise Refused("malformed", what.partition(" ")[2], f"{what} has not the form of one") from None


def read(path, kind):
    """The bytes inside the file at `path`."""
    try:
        with pathlib.Path(path).open("rb") as file:
            return unwrap(file.read(2 * BYTES_MAX[kind] + 1), kind)
    except OSError as error:
        raise Refused("unreadable", str(path), f"{path} cannot be read: {error.strerror}") from None


def unwrap(data, kind):
    """The bytes inside a file: bare, or in the one accepted form of JSON, which all parsers read alike."""
    most, no = BYTES_MAX[kind], f"this file is no {kind}"
    form = f'{{"format": "dtvn-{kind}/1", "{kind}": "<base64>"}}'
    need(len(data) <= 2 * most, "too_large", kind, f"{no}: it is too large, over {2 * most} bytes")
    begins = re.match(rb"[{\x90-\x9f]", data)
    need(begins, "wrong_file", kind, f"{no}: it begins neither with {{ nor as its bytes do")
    if data[:1] == b"{":
        either_order = r"\{{ (?:{0} , {1}|{1} , {0}) \}}"  # a space stands for any white space
        plain = either_order.format(f'"format" : "dtvn-{kind}/1"', f'"{kind}" : "[A-Za-z0-9+/]+={{0,2}}"')
        answer = either_order.format('"success" : true', f'"data" : {plain}')
        pattern = f"(?:{plain}|{answer}) ".replace(" ", r"[ \t\r\n]*").encode()
        why = f'{no}: not {form}, alone or the "data" of a good answer'
        need(re.fullmatch(pattern, data), "wrong_file", kind, why)
        text = data.split(f'"{kind}"'.encode())[1].split(b'"')[1]
        data = base64.b64decode(text[: len(text) // 4 * 4])
        why = f"the {kind} in this file is not the one spelling of its base64"
        need(base64.b64encode(data) == text, "wrong_file", kind, why)
    need(len(data) <= most, "too_large", kind, f"{no}: {len(data)} bytes are too many")
    return data


class Chain:
    """Verified epochs: each with its members (name, key) and the sequence after which it begins."""

    def __init__(self, data):
        data = second_file("genesis.bin").founded(data) if data[:1] == b"\x94" else data
        bare = data[:1] in (b"\x97", b"\x98", b"\x99")
        version, genesis, proofs = (1, data, []) if bare else opened(data, CHAIN, "the epoch chain")
        why = f"an epoch chain of version {version}; this verifier knows 1"
        need(version == 1, "unknown_version", "chain", why)
        self.cluster = sha256(b"dtvn/v1/genesis\0" + genesis)
        forms = {7: GENESIS, 8: (*GENESIS, CONTINUES), 9: (*GENESIS, *RAFT)}
        found = opened(genesis, forms, "the genesis")
        self.raft, self.continues = len(found) == 9, found[7] if found[8:] else found[7:]
        self.epochs = [(named(found[2]), self.continues[0][2] if self.continues else 0)]
        for epoch, proof in enumerate(proofs):
            end, why = Proved(proof, self), f"epoch {epoch} does not end with this epoch change proof"
            wrong = "wrong_epoch_change", f"epoch {epoch}", why
            kind, at = ("recover", None) if end.continued else ("reconfigure", (epoch, end.sequence))
            need((end.kind, end.code, end.epoch, end.checkpoint) == (kind, "ok", epoch, at), *wrong)
            begun, rows = opened(end.state, EPOCH, "the epoch change proof")
            need(begun == epoch + 1, *wrong)
            self.epochs.append((named(rows), end.sequence))

    def faults(self, count):
        """How many of `count` members may lie."""
        return 0 if self.raft else (count - 1) // 3

    def quorum(self, count):
        """How many of `count` members decide: two such sets share more members than may lie."""
        return (count + self.faults(count) + 2) // 2

    def liars(self, count):
        """How many of `count` members may lie, in words."""
        none = "crash-only: a lying member is not tolerated" if self.raft else "crash-only, no liar tolerated"
        return f"of whom {self.faults(count)} may lie" if self.faults(count) else none

    def members(self, epoch, sequence):
        """The members of `epoch`, which must contain `sequence`."""
        ends = [*(after for _, after in self.epochs[1:]), sequence]
        why = f"epoch {epoch} is not in this chain, which ends with {len(ends) - 1}"
        need(epoch < len(ends), "unknown_epoch", f"epoch {epoch}", why)
        inside = self.epochs[epoch][1] < sequence <= ends[epoch]
        why = f"sequence {sequence} is not in epoch {epoch}"
        need(inside, "outside_epoch", f"sequence {sequence}", why)
        return self.epochs[epoch][0]

    def check(self, member, kind, body, signature):
        """Check that this member signed a statement."""
        data = b"dtvn/v1/signed\0" + self.cluster + bytes([kind]) + body
        try:
            signing.VerifyKey(member[1]).verify(data, signature)
        except exceptions.CryptoError:
            name = shown(member[0])
            why = f"the signature of {name} does not fit what it should say"
            raise Refused("bad_signature", name, why) from None


def named(rows):
    """The (name, key) of each member."""
    members = [(name, key) for name, key, *_ in rows]
    distinct = all(len({*each}) == len(members) for each in zip(*members, strict=True))
    good = 1 <= len(members) <= 31 and distinct
    need(good, "bad_members", "members", "members are too many or share a name or a key")
    return members


class Proved:
    """The facts that a certificate proves: every hash is computed again and every signature is checked."""

    def __init__(self, data, chain):
        found = opened(data, CERTIFICATE, "the certificate")
        version, tag, leaf, sides, path, self.epoch, self.sequence, batch, previous, proof = found
        self.continued = proof[0] == "continuation"
        known = "2" if self.continued else "1 and 3 and 4 and 5"
        why = f"a certificate of version {version}; this verifier knows {known}"
        need(str(version) in known.split(" and "), "unknown_version", "certificate", why)
        why = "the certificate is of another cluster than this chain"
        need(tag == chain.cluster[:8], "other_cluster", "certificate", why)
        self.index, operation, self.code, self.time, self.state, *repeat = opened(leaf, LEAF, "the leaf")
        self.kind, self.event, self.ticket, *_ = operation
        answered = {b"\xdc\0\x17": 3, b"\xdc\0\x18": 4}.get(self.state[:3], 0)  # an array of 23 or 24
        ticket = opened(self.state, TICKET, "the state") if answered or self.state[:1] == b"\x9f" else []
        why = "the certificate has not the form of one"
        fits = (5 if repeat else answered or 1) == version
        need(version == 2 or fits, "malformed", "certificate", why)
        self.first = repeat[0] if repeat else None
        self.ticket = ticket[1] if answered else self.ticket
        self.ticket_state = ticket if ticket[:2] == [self.event, self.ticket] else None
        entry = [self.epoch, self.sequence, batch, results_root(leaf, sides, path), self.time, previous]
        self.entry = sha256(b"dtvn/v1/entry\0" + pack(entry))
        self.members, self.checkpoint = chain.members(self.epoch, self.sequence), None
        kind, epoch, said = 24, self.epoch, [self.sequence, self.entry]  # a receipt is a statement of kind 24
        if proof[0] == "checkpoint":  # and a CHECKPOINT one of kind 19
            _, epoch, size, state_root, log_time, path, _ = proof
            why = "its checkpoint is of an earlier epoch than its entry"
            need(epoch >= self.epoch, "early_checkpoint", f"epoch {epoch}", why)
            self.members, self.checkpoint = chain.members(epoch, size), (epoch, size)
            kind, said = 19, [size, state_root, log_root(self.sequence - 1, size, self.entry, path), log_time]
        if self.continued:  # all members ended their epoch offline: a statement of kind 26
            root = log_root(self.sequence - 1, self.sequence, self.entry, proof[2])
            rows = opened(self.state, EPOCH, "the epoch change proof")[1]
            kind, said = 26, [self.sequence, proof[1], root, self.time, [row[1] for row in rows]]
        n, who = len(self.members), [index for index, _ in proof[-1]]
        q = n if self.continued else chain.quorum(n)
        why = f"it has {len(who)} signatures; exactly {q} of {n} are needed"
        need(len(who) == q, "signature_count", "signatures", why)
        why = "its signers are not distinct members in ascending order"
        good = who == sorted({*who}) and who[-1] < n
        need(good, "bad_signers", "signatures", why)
        for index, signature in proof[-1]:
            chain.check(self.members[index], kind, pack([epoch, index, *said]), signature)
        self.signers, self.chain = [self.members[index] for index in who], chain

    def sentences(self):
        """The proved facts in words."""
        event, ticket, kind, code = map(shown, (self.event, self.ticket, self.kind, self.code))
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=min(self.time, Y10K - 1))
        at = f"{day:%Y-%m-%d %H:%M:%S.%f} UTC" if self.time < Y10K else f"{self.time} microseconds after 1970"
        place = f"sequence {self.sequence}, index {self.index}, epoch {self.epoch}"
        yield f"ticket {ticket} of event {event}: {kind} -> {code} at {place}, log time {at}"
        if self.first:
            where = "sequence {}, index {}".format(*self.first)
            where = where if self.first[0] else "an earlier one, whose place is not known"
            yield f"a repeat of {where}: no admission"
        names, n = ", ".join(shown(name) for name, _ in self.signers), len(self.members)
        yield f"signed by {names}: {len(self.signers)} of {n} members, {self.chain.liars(n)}"
        log = "the log under their checkpoint at sequence {1}, epoch {0}"
        proof = log.format(*self.checkpoint) if self.checkpoint else "their receipts for this sequence"
        proof = "all members, who ended their epoch with it offline" if self.continued else proof
        yield f"proved by {proof}"
        if self.ticket_state:
            status, gate, device = (self.ticket_state[field] for field in (2, 11, 12))
            where = (gate and f", gate {shown(gate)}") + (device and f", device {shown(device)}")
            product, seat, _, _, blocked, why, *_ = self.ticket_state[15:] or [""] * 6
            where += (product and f", product {shown(product)}") + (seat and f", seat {shown(seat)}")
            where += ", blocked" + (why and f": {shown(why)}") if blocked else ""
            yield f"right after it the ticket was {STATES[status]}{where}"
        yield from (second_file("a continued cluster").continued(*each) for each in self.chain.continues)
        if self.first is None and not self.continued:
            yield "this form cannot tell a repeat from the first"
        yield "It is an outcome at one point of the log and says nothing about what came later."


def results_root(leaf, sides, path):
    """The root to which `path` leads from a leaf; bit i of `sides` is set if its i-th hash is on the left."""
    need(sides >> len(path) // 32 == 0, "bad_path", "leaf", "its path names more sides than it has hashes")
    root = sha256(b"\0" + leaf)
    for at in range(0, len(path), 32):
        pair = (path[at : at + 32], root) if sides >> at // 32 & 1 else (root, path[at : at + 32])
        root = sha256(b"\1" + b"".join(pair))
    return root


def log_root(index, size, leaf, path):
    """The root over `size` leaves to which `path` leads from the one at `index` (RFC 9162, section 2.1.3)."""
    good = index < size and bool(path) == (size > 1)
    need(good, "bad_path", "entry", "its path does not lead to its checkpoint")
    if size == 1:
        return leaf
    left = 1 << (size - 1).bit_length() - 1  # number of leaves on the left: a power of 2, below size
    if index < left:
        return sha256(b"\1" + log_root(index, left, leaf, path[:-32]) + path[-32:])
    return sha256(b"\1" + path[-32:] + log_root(index - left, size - left, leaf, path[:-32]))


def shown(text):
    """A name, safe to show: bounded, and without characters that a terminal interprets."""
    return re.sub("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", "?", text[:128])


def second_file(what, name="dtvn_verify_evidence.py"):
    """Imports an optional module beside this file; Refused if it is missing."""
    path = pathlib.Path(__file__).with_name(name)
    why = f"{what} is judged by {path.name}, which is not beside this file"
    need(path.is_file(), "missing_file", path.name, why)
    sys.path.insert(0, str(path.parent))
    return importlib.import_module(path.stem)


def main(kind, path, *options):
    """Prints what a file proves, or why it proves nothing; returns the exit code."""
    try:
        given = dict(zip(options[::2], options[1::2], strict=False))
        good = len(options) % 2 == 0 and {"--genesis"} <= {*given} <= {"--genesis", "--against"}
        need(good and kind in ("certificate", "evidence", "transcript"), "usage", "", __doc__)
        chain, other = Chain(read(given["--genesis"], "chain")), given.get("--against")
        if kind == "transcript":
            return second_file(kind, "dtvn_verify_transcript.py").main(path, chain)
        if kind == "evidence" or other:
            return second_file("--against" if other else kind).main(kind, path, chain, other)
        proved = Proved(read(path, kind), chain)
        print(*proved.sentences(), sep="\n")
        return 3 if proved.first else 0
    except ValueError as error:  # Refused, of this module or of its copy that the second file imports
        print(f"not proved: {error} [{error.code}]")
        return 1


def command():
    """The command line: runs `main` and exits with its code."""
    sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal can encode every name
    if sys.argv[1:] == ["--version"]:
        sys.exit(print(f"dtvn-verify {RELEASE}"))
    asked = {"-h", "--help"} & {*sys.argv}
    sys.exit(print(__doc__) if asked else main(*sys.argv[1:]) if len(sys.argv) > 2 else __doc__)


if __name__ == "__main__":
    command()
