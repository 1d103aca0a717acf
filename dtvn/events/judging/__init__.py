"""Judging by signed votes: what a validator signs, how votes become a decision, and what proves it. Pure.

A validator casts votes (`cast_vote`) and signs those of a turn together (`sign_turn`). A gateway opens turns
(`open_turn`), hands the votes to the `Inquiry` of their chunk, and assembles certificates (`assemble`) or
evidence of two contradicting votes. Anyone checks those offline (`check_certificate`, `convict`)."""

from dtvn.events.judging.algorithm_promises import Promise, promises
from dtvn.events.judging.certificate import (
    CERTIFICATE_BYTES_MAX,
    Certified,
    VoteCertificate,
    assemble,
    check_certificate,
    check_form,
    decode_certificate,
)
from dtvn.events.judging.decision_rules import (
    ALGORITHM_NOT_OFFERED,
    INSUFFICIENT_NODES,
    NO_DECISIONS,
    NO_QUORUM,
    PBFT_NO_CONSENSUS,
    REFUSED_BY_FEW,
    AlgorithmNotOffered,
    DecisionRule,
    Verdict,
    decision_rule,
    offered,
    other_mode,
)
from dtvn.events.judging.electorate import Electorate
from dtvn.events.judging.evidence import VoteConviction, convict, decode_evidence, encode_evidence
from dtvn.events.judging.heads import first_head, next_head
from dtvn.events.judging.inquiry import Ask, Inquiry, Piece, RunPoint
from dtvn.events.judging.tally import PARTIAL_DECISIONS, Decision, Ignored, Tally
from dtvn.events.judging.turns import TURN_VOTES_MAX, Ballot, MemberVote, open_turn, open_vote, sign_turn
from dtvn.events.judging.votes import (
    CHUNK_EVENTS_MAX,
    SALT_SIZE,
    Abstains,
    Abstention,
    Event,
    JudgedRun,
    Question,
    Vote,
    cast_vote,
    chunk_digest,
    event_digest,
)

__all__ = [
    "ALGORITHM_NOT_OFFERED",
    "Abstains",
    "Abstention",
    "AlgorithmNotOffered",
    "Ask",
    "Ballot",
    "CERTIFICATE_BYTES_MAX",
    "CHUNK_EVENTS_MAX",
    "Certified",
    "Decision",
    "DecisionRule",
    "Electorate",
    "Event",
    "INSUFFICIENT_NODES",
    "Ignored",
    "Inquiry",
    "JudgedRun",
    "MemberVote",
    "NO_DECISIONS",
    "NO_QUORUM",
    "PARTIAL_DECISIONS",
    "PBFT_NO_CONSENSUS",
    "Piece",
    "Question",
    "REFUSED_BY_FEW",
    "Promise",
    "RunPoint",
    "SALT_SIZE",
    "TURN_VOTES_MAX",
    "Tally",
    "Verdict",
    "Vote",
    "VoteCertificate",
    "VoteConviction",
    "assemble",
    "cast_vote",
    "check_certificate",
    "check_form",
    "chunk_digest",
    "convict",
    "decision_rule",
    "decode_certificate",
    "decode_evidence",
    "encode_evidence",
    "event_digest",
    "first_head",
    "next_head",
    "offered",
    "open_turn",
    "open_vote",
    "other_mode",
    "promises",
    "sign_turn",
]
