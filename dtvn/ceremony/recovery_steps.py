"""A member's side of a recovery: its ledger, its keys and the files that members exchange (R11).

Each step opens the ledger under its lock, so the node must be stopped. What a step promises is durable before
its file is written; every step may be repeated with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from nacl import bindings

from dtvn.files.epoch_changes import encode_epoch_changes
from dtvn.files.whole import put_in_place, write_private
from dtvn.ledger import FindLedger, LedgerError, NodeLedger, OpenLedger
from dtvn.net import KeyFileError, ensure_seed, public_key_of, read_seed
from dtvn.node.epochs import membership_of, own_place
from dtvn.node.keys import VotedStamp
from dtvn.node.layout import ClusterFolder, NodeFolder, make_private
from dtvn.node.ledger_place import find_place
from dtvn.node.options import NodeOptions, StartError, check_folder, load_genesis
from dtvn.node.promise import keep_promise, promised
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import InvariantBreach, epoch_change_proof
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus.effects import EntryRecord
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.host.ports import JournalError
from dtvn.protocol.wire import ED25519, Door, FrameSigner
from dtvn.recovery import (
    CONTINUE,
    FILE_BYTES_MAX,
    PLAN,
    Ending,
    MemberKeys,
    Plan,
    PlanFile,
    RecoveryError,
    SealedFile,
    SignedFile,
    StateFile,
    epoch_of,
    make_plan,
    plan_digest,
    reach,
    read_states,
    sealing,
    tell,
    why_lost,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Known = TypeVar("Known")

PAGE_BYTES = 64 * 1024 * 1024
"""Bytes of batches that are read from the ledger at once."""


class Place(msgspec.Struct, frozen=True):
    """The location of a member's folder and ledger."""

    folder: NodeFolder
    open_ledger: OpenLedger
    find_ledger: FindLedger
    options: NodeOptions = NodeOptions()
    """Where its ledger is."""

    @property
    def genesis(self) -> g.Genesis:
        """The member's genesis; raise RecoveryError if it cannot be read."""
        try:
            check_folder(ClusterFolder(self.folder.root.parent.parent), self.folder.id)
            if not self.folder.key.exists():
                raise RecoveryError(
                    f"The key of {self.folder.id} is gone ({self.folder.key} is not there). {CONTINUE}"
                )
            return load_genesis(self.folder.genesis)
        except StartError as error:
            raise RecoveryError(str(error)) from error


def read_bounded(path: Path) -> bytes:
    """A file's content; raise RecoveryError if it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise RecoveryError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > FILE_BYTES_MAX:
        raise RecoveryError(f"{path} is too large, over {FILE_BYTES_MAX} bytes.")
    return content


def planned(states: Sequence[StateFile], genesis: g.Genesis) -> tuple[PlanFile, Plan]:
    """The plan that follows from these statements, in any order; raise RecoveryError."""
    names = [state.statement.member for state in states]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RecoveryError(f"{twice[0]} told its state twice: name one file of each member, the newest.")
    membership, _epoch_changes = epoch_of(states, genesis)
    order = {member.id: index for index, member in enumerate(membership.members)}
    if strange := [name for name in names if name not in order]:
        raise RecoveryError(f"{strange[0]} is not a member of epoch {membership.epoch}.")
    file = PlanFile(PLAN, tuple(sorted(states, key=lambda state: order[state.statement.member])))
    return file, make_plan(read_states(file, genesis))


def state(
    place: Place, *, vouches: bool, others: Sequence[StateFile] = ()
) -> tuple[StateFile, tuple[str, ...]]:
    """The signed statement of what this member's ledger holds, and the ids of the members whose statements
    the plan needs; creates the key of the next epoch, once.

    `others`: statements of members that know later epochs than this ledger. Raises RecoveryError.
    """
    with _Member.opened(place, others) as member:
        lost = why_lost(member.tail, member.ledger.voting, member.ledger.voting_reason)
        if vouches and lost:
            raise RecoveryError(f"{member.id} cannot vouch that its log is its newest one: {lost}.")
        if vouches and not member.tail.frontier.size:
            raise RecoveryError(
                f"{member.id} cannot vouch that its log is its newest one: its ledger is empty."
            )
        if epoch_change_proof.find(member.tail.states, member.membership.epoch) is not None:
            raise RecoveryError(
                f"The log of {member.id} ends with a change of the members that is not sealed, and recovery "
                f"cannot go on behind one. {CONTINUE}"
            )
        member.check_no_rotation()
        new_key = public_key_of(member.new_seed(make=True))
        names = tuple(each.id for each in member.membership.members)
        return member.tell(vouches=vouches, lost=lost, new_key=new_key), names


def sign(place: Place, file: PlanFile, others: Sequence[SignedFile] = ()) -> tuple[SignedFile, Plan]:
    """This member's signature under the end of the epoch, in which it does not vote any more from now on.

    `others`: files signed by members that could execute the plan, for one that cannot. Raises RecoveryError.
    """
    genesis = place.genesis
    file, plan = planned(file.states, genesis)
    with _Member.opened(place, file.states) as member:
        before = promised(place.folder, plan.reading.config.epoch)
        if before is not None and before[0].plan == plan_digest(member.cluster, file):
            return before[0], plan  # even if its ledger has changed since
        member.check_told(file)
        ending: Ending | None = None
        if plan.executes(member.index):
            ending = reach(plan, member.tail, genesis)
            said = ending.continuation
        else:
            said = sealing.by_witnesses(others, plan, file)
        mine = msgspec.structs.replace(said, sender=member.index)
        done = sealing.signed(file, member.cluster, mine, member.signer, ending)
        if before is not None and before[1] != mine:
            raise RecoveryError(
                f"{member.id} signed another end of epoch {mine.epoch} before, that of plan "
                f"{before[0].plan.hex()[:16]}: a second one would convict it. Go on with that plan."
            )
        keep_promise(place.folder, done)
        return done, plan


def install(place: Place, file: SealedFile) -> Membership:
    """Write the end of the epoch that all members signed to the ledger, and replace the old key by the new
    one; return the epoch in which the ledger continues. A repeated call only completes an interrupted one.
    Raises RecoveryError."""
    genesis = place.genesis
    plan = planned(file.plan.states, genesis)[1]
    sealed = sealing.open_sealed(file, plan, genesis)
    following = sealed.following
    with _Member.opened(place, file.plan.states) as member:
        now = membership_of(member.ledger, genesis)
        if now.epoch < following.epoch:
            key = member.key_file(following.members[member.index].public_key)
            # A ledger that was lost after `sign` fetches a state, like one that was empty before: its new
            # key has never voted.
            follows = plan.follows(member.tail.frontier.size)
            records = sealing.records(sealed, reach(plan, member.tail, genesis) if follows else None)
            member.offer_new_key(key)
            member.ledger.append(records)
            now = following
    own_place(place.folder, now)
    return now


def tell_platform(data: ClusterFolder, genesis: g.Genesis, file: SealedFile) -> None:
    """Write the members' new keys for the gateway and the learner of a data folder, unless they know a later
    epoch; raise RecoveryError. Links to the members' old keys no longer work."""
    plan = planned(file.plan.states, genesis)[1]
    sealed = sealing.open_sealed(file, plan, genesis)
    try:
        data.cluster.mkdir(mode=0o700, parents=True, exist_ok=True)
        if len(_known(tuple[bytes, ...], data.epoch_changes) or ()) <= len(sealed.epoch_changes):
            write_private(data.epoch_changes, encode_epoch_changes(sealed.epoch_changes), replace=True)
        places = [NodeFolder(identity.parent).sources for identity in data.nodes.glob("*/identity")]
        if data.learner_key.exists():
            make_private(data.learner)
            places.append(data.learner_sources)
        for path in places:
            known = _known(Membership, path)
            if known is None or known.epoch <= sealed.following.epoch:
                write_private(path, canonical.encode_trimmed(sealed.following), replace=True)
    except OSError as error:
        raise RecoveryError(f"{data.root} cannot be written: {error.strerror}.") from error


def _known(kind: type[Known], path: Path) -> Known | None:
    """The value that an earlier step wrote to a file; None if absent or unreadable. Raises OSError."""
    try:
        return canonical.decode(kind, path.read_bytes())
    except (FileNotFoundError, canonical.CanonicalError):
        return None


class _Member:
    """A member's opened ledger, and its place and key in the epoch."""

    def __init__(
        self, place: Place, ledger: NodeLedger, genesis: g.Genesis, others: Sequence[StateFile]
    ) -> None:
        self._folder = place.folder
        self.ledger = ledger
        self.id = place.folder.id
        self.cluster = g.cluster_id(genesis)
        mine = membership_of(ledger, genesis)
        told = epoch_of(others, genesis)[0] if others else mine
        over, behind = told.epoch < mine.epoch, told.epoch > mine.epoch
        self.membership = told if behind else mine
        # In the epoch of a ledger that is behind, the old key may not vote again: it must be gone first.
        renew = (lambda: None) if behind else ledger.vote_again
        index, seed, fresh = own_place(place.folder, self.membership, renew)
        if index is None and over:
            raise RecoveryError(
                f"The key in {place.folder.identity} belongs to no member of epoch {self.membership.epoch}, "
                f"in which its ledger is; the file is about epoch {told.epoch}, which is over there."
            )
        if index is None:
            later = _known(Membership, place.folder.sources)
            if later is not None and public_key_of(seed) in {member.public_key for member in later.members}:
                raise RecoveryError(
                    f"{self.id} has its key of epoch {later.epoch} already, and its ledger was lost since or "
                    "is older: start the node, which takes the log from the others. Where these do not "
                    "decide either, tell its state for a new recovery (genesis recover state --epochs)."
                )
            raise RecoveryError(
                f"The key in {place.folder.identity} belongs to no member of epoch {self.membership.epoch}. "
                f"Is its old key gone? {CONTINUE}"
            )
        if fresh and behind:
            ledger.vote_again()
        self.index = index
        secret = bindings.crypto_sign_seed_keypair(seed)[1]
        self._sign: Callable[[bytes], bytes] = lambda data: ED25519.sign(secret, data)
        self._keys = MemberKeys(self.membership)
        self.signer = FrameSigner(self.cluster, secret, self._keys)
        self._config = configuration.build(genesis, self.cluster, self.id, self.membership)
        self.tail = ledger.load(whole=True)

    @classmethod
    @contextmanager
    def opened(cls, place: Place, others: Sequence[StateFile] = ()) -> Iterator[_Member]:
        """Open the ledger exclusively; every failure becomes a RecoveryError."""
        genesis = place.genesis
        try:
            ledger = place.open_ledger(
                find_place(place.find_ledger, place.folder, genesis, place.options).location,
                cluster_id=g.cluster_id(genesis),
                alias="recovery",
                expect_existing=VotedStamp(place.folder.identity).present,
            )
            try:
                yield cls(place, ledger, genesis, others)
            finally:
                ledger.close()
        except (StartError, LedgerError, JournalError, KeyFileError, InvariantBreach, OSError) as error:
            raise RecoveryError(f"{place.folder.id}: {error}".rstrip(".") + ".") from error

    def tell(self, *, vouches: bool, lost: str, new_key: bytes) -> StateFile:
        """This member's signed statement of what its ledger holds; see dtvn.recovery.telling.tell."""
        return tell(
            self.tail,
            self._entries,
            self._config,
            Door(self.cluster, self._keys),
            self._sign,
            lost=lost,
            vouches=vouches,
            new_key=new_key,
        )

    def check_told(self, file: PlanFile) -> None:
        """Raise RecoveryError unless the plan rests on what this ledger holds now."""
        said = file.states[self.index].statement
        lost = why_lost(self.tail, self.ledger.voting, self.ledger.voting_reason)
        now = self.tell(vouches=said.vouches, lost=lost, new_key=public_key_of(self.new_seed(make=False)))
        if now.statement != said:
            raise RecoveryError(
                f"The ledger of {self.id} is not as it was when it told its state: the node ran since. "
                f"Tell it again."
            )

    def new_seed(self, *, make: bool) -> bytes:
        """The seed of the next epoch's key; with `make`, created if there is no such key yet."""
        path = self._folder.recovery_key
        if not path.exists() and self._folder.next_key.exists():
            path = self._folder.next_key  # an interrupted install moved it there
        return ensure_seed(path) if make else read_seed(path)

    def key_file(self, public_key: bytes) -> Path:
        """The file of the key that all members signed: an interrupted install may have moved it already, and
        `state` may have created another one since. Raises RecoveryError."""
        for path in (self._folder.next_key, self._folder.recovery_key):
            if path.exists() and public_key_of(read_seed(path)) == public_key:
                return path
        raise RecoveryError(
            f"The next key of {self.id} is another one than all members signed: it was made anew since."
        )

    def offer_new_key(self, key: Path) -> None:
        """Move the new key, durably, to where `own_place` finds it in the epoch that names it."""
        if key != self._folder.next_key:
            self.check_no_rotation()
            put_in_place(key, self._folder.next_key)

    def check_no_rotation(self) -> None:
        """Raise RecoveryError if `next.key` is not of a recovery that this member signed: the change that
        names it may still be ordered, and then this member would not be a member without it."""
        path = self._folder.next_key
        if not path.exists():
            return
        before = promised(self._folder, self.membership.epoch)
        if before is None or public_key_of(read_seed(path)) not in before[1].keys:
            raise RecoveryError(
                f"{self.id}: {path} is the key of a rotation that is under way: take that back (manage.py "
                "members cancel), and move the file away if it is still there. The recovery gives this "
                "member a new key anyway."
            )

    def _entries(self, first: int, last: int) -> list[EntryRecord]:
        found: list[EntryRecord] = []
        while first <= last:
            page = self.ledger.entries(first, last, PAGE_BYTES)
            if not page:
                raise RecoveryError(f"The ledger of {self.id} lacks entry {first}.")
            found += page
            first = page[-1].entry.sequence + 1
        return found
