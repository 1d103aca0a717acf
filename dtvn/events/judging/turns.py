"""Votes on the wire: those that a member gives in one turn, for however many runs, share one signature.

    leaf = H(0x00, canonical bytes of the vote)
    head = [epoch, member, number of votes, Merkle root over the leaves]
    the member signs tag, cluster id and head

The receiver of a whole turn recomputes the root; a single vote is shown with its path (RFC 6962), as in a
certificate or in evidence. No other signature of the cluster uses the tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated

import msgspec

from dtvn.events.judging.electorate import Electorate
from dtvn.events.judging.votes import VOTE_BYTES_MAX, Vote, is_well_formed, vote_leaf
from dtvn.protocol import canonical
from dtvn.protocol.consensus import log_tree, subtree_paths
from dtvn.protocol.consensus.fields import Count, Hash, Wire
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import no_form, opened
from dtvn.protocol.scheme import ED25519, SIGNATURE_SIZE, Scheme

VERSION = 1
TAG = b"dtvn/events/v1/votes\0"
TURN_VOTES_MAX = 4096
"""Most votes under one signature; a member with more signs several turns."""
PATH_LENGTH_MAX = 12
"""Length of the longest path in a tree of TURN_VOTES_MAX leaves."""
TURN_BYTES_MAX = 4 * 1024 * 1024
"""Largest turn; 4,096 votes of ordinary names take about one megabyte."""
A_TURN = "a turn of votes"

Signature = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_SIZE, max_length=SIGNATURE_SIZE)]
EncodedVote = Annotated[bytes, msgspec.Meta(max_length=VOTE_BYTES_MAX)]


class Head(Wire, frozen=True):
    """The part of a turn that its member signs; `root` commits to the votes."""

    epoch: Count
    member: Count
    """Index in the epoch's member list."""
    size: Annotated[int, msgspec.Meta(ge=1, le=TURN_VOTES_MAX)]
    """Number of votes of the turn."""
    root: Hash


class Turn(Wire, frozen=True):
    """All votes that one member gives to one gateway in one turn."""

    version: Count
    epoch: Count
    member: Count
    votes: Annotated[tuple[EncodedVote, ...], msgspec.Meta(min_length=1, max_length=TURN_VOTES_MAX)]
    """Canonical bytes of each vote."""
    signature: Signature


class Ballot(Wire, frozen=True):
    """One member's signature under one vote. The vote is stored separately: equal votes are stored once."""

    member: Count
    place: Count
    """Index of the vote in the turn."""
    size: Annotated[int, msgspec.Meta(ge=1, le=TURN_VOTES_MAX)]
    path: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=PATH_LENGTH_MAX)]
    """Siblings from the vote to the root of the turn, from the bottom up."""
    signature: Signature


class CheckedTurn:
    """A turn whose signature was checked. Paths are computed on demand."""

    def __init__(self, turn: Turn, leaves: list[bytes]) -> None:
        self.turn = turn
        self._leaves = leaves

    @cached_property
    def _paths(self) -> list[tuple[tuple[bool, bytes], ...]]:
        return subtree_paths(self._leaves)

    def ballot(self, place: int) -> Ballot:
        """Signature and Merkle path of the vote at index `place`, which prove it without the other votes."""
        path = tuple(sibling for _left, sibling in self._paths[place])
        return Ballot(self.turn.member, place, len(self._leaves), path, self.turn.signature)


class MemberVote(msgspec.Struct, frozen=True, gc=False):
    """A vote whose signature was checked, and the turn that proves it."""

    member: int
    encoded: bytes
    vote: Vote
    turn: CheckedTurn
    place: int

    def ballot(self) -> Ballot:
        """Signature and Merkle path that prove this vote without the others of its turn."""
        return self.turn.ballot(self.place)


def signed_head(cluster: bytes, head: Head) -> bytes:
    """The bytes that a member signs for a turn: tag, cluster id and canonical head."""
    return b"".join((TAG, cluster, canonical.encode(head)))


def sign_turn(
    votes: Sequence[Vote], *, cluster: bytes, epoch: int, member: int, secret: bytes, scheme: Scheme = ED25519
) -> bytes:
    """Bytes of a turn with these votes; raises ValueError unless they are 1 to TURN_VOTES_MAX."""
    if not 0 < len(votes) <= TURN_VOTES_MAX:
        raise ValueError(f"votes: {len(votes)}, not 1 to {TURN_VOTES_MAX}")
    encoded = tuple(map(canonical.encode, votes))
    root = canonical.merkle_root(map(vote_leaf, encoded))
    signature = scheme.sign(secret, signed_head(cluster, Head(epoch, member, len(encoded), root)))
    return canonical.encode(Turn(VERSION, epoch, member, encoded, signature))


def open_turn(data: bytes, electorate: Electorate, member: int) -> list[MemberVote]:
    """Checks the turn that `member` sent, with one signature, and returns its votes in order. Raises
    ProofError for an invalid turn, of which no vote counts."""
    if len(data) > TURN_BYTES_MAX:
        said = f"{A_TURN} has at most {TURN_BYTES_MAX} bytes, not {len(data)}"
        raise ProofError(Code.TOO_LARGE, "turn", said)
    turn = opened(Turn, data, A_TURN)
    check_version(turn.version, A_TURN)
    electorate.check_epoch(turn.epoch)
    if turn.member != member:
        said = f"{electorate.name(member)} sent votes of member {turn.member}"
        raise ProofError(Code.BAD_SIGNERS, electorate.name(member), said)
    leaves = [vote_leaf(encoded) for encoded in turn.votes]
    head = Head(turn.epoch, turn.member, len(leaves), canonical.merkle_root(leaves))
    check_head(head, turn.signature, electorate)
    checked = CheckedTurn(turn, leaves)
    return [
        MemberVote(member, encoded, open_vote(encoded), checked, place)
        for place, encoded in enumerate(turn.votes)
    ]


def open_vote(encoded: bytes) -> Vote:
    """Decodes a vote from its canonical bytes; raises ProofError if it is malformed."""
    vote = opened(Vote, encoded, "a vote")
    if not is_well_formed(vote):
        raise no_form("a vote")
    return vote


def check_ballot(ballot: Ballot, encoded: bytes, electorate: Electorate) -> None:
    """Raises ProofError unless the ballot's member signed the vote with these bytes in this epoch."""
    root = log_tree.climb(ballot.place, ballot.size, vote_leaf(encoded), ballot.path)
    if root is None:
        name = electorate.name(ballot.member)
        raise ProofError(Code.BAD_PATH, name, f"the path of {name} does not lead to its signature")
    head = Head(electorate.epoch, ballot.member, ballot.size, root)
    check_head(head, ballot.signature, electorate)


def check_head(head: Head, signature: bytes, electorate: Electorate) -> None:
    """Raises ProofError unless `signature` is that of the head's member."""
    name, key = electorate.name(head.member), electorate.key(head.member)
    if not electorate.scheme.verify(key, signed_head(electorate.cluster, head), signature):
        said = f"the signature of {name} does not fit what it should say"
        raise ProofError(Code.BAD_SIGNATURE, name, said)


def check_version(version: int, what: str) -> None:
    """Raises ProofError for an unknown version. `what`: the noun with its article, for the message."""
    if version != VERSION:
        said = f"{what} of version {version}; this verifier knows {VERSION}"
        raise ProofError(Code.UNKNOWN_VERSION, what.partition(" ")[2], said)
