"""The error of a verifier that does not accept a proof, and its codes, which all verifiers share."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why a proof is refused. Codes are stable, sentences are not; all verifiers have the same codes."""

    UNREADABLE = "unreadable"
    UNWRITABLE = "unwritable"
    TOO_LARGE = "too_large"
    WRONG_FILE = "wrong_file"
    """Neither the bytes of a file of its kind nor their JSON."""
    MALFORMED = "malformed"
    UNKNOWN_VERSION = "unknown_version"
    OTHER_CLUSTER = "other_cluster"
    # --- the chain of epochs ---
    INVALID_GENESIS = "invalid_genesis"
    BAD_MEMBERS = "bad_members"
    """None or too many members, or two with one name or key."""
    UNKNOWN_EPOCH = "unknown_epoch"
    OUTSIDE_EPOCH = "outside_epoch"
    """A sequence that does not belong to its epoch."""
    WRONG_EPOCH_CHANGE = "wrong_epoch_change"
    """An epoch change proof that does not end the epoch before."""
    PIN_CONTRADICTED = "pin_contradicted"
    PIN_AHEAD = "pin_ahead"
    """The chain ends before a pinned epoch."""
    # --- certificates ---
    BAD_PATH = "bad_path"
    EARLY_CHECKPOINT = "early_checkpoint"
    """A checkpoint of an epoch before that of its entry."""
    SIGNATURE_COUNT = "signature_count"
    BAD_SIGNERS = "bad_signers"
    BAD_SIGNATURE = "bad_signature"
    BAD_CHECKPOINT = "bad_checkpoint"
    """CHECKPOINTs that do not prove the state or the log in question."""
    BAD_ANSWER = "bad_answer"
    """A node's answer that proves no state of a ticket."""
    # --- transcripts ---
    WRONG_EVENT = "wrong_event"
    """An event whose digest is that of another one."""
    WRONG_CHUNK = "wrong_chunk"
    """A certificate that does not continue the run, or is of other events; or events without one."""
    # --- evidence ---
    UNKNOWN_EVIDENCE = "unknown_evidence"
    WRONG_STATEMENT = "wrong_statement"
    """A message of a kind that cannot stand there."""
    UNKNOWN_MEMBER = "unknown_member"
    NO_CONTRADICTION = "no_contradiction"
    VALID_VIEW_CHANGE = "valid_view_change"
    VALID_NEW_VIEW = "valid_new_view"
    MISSING_VIEW_CHANGE = "missing_view_change"
    OTHER_EPOCH = "other_epoch"
    """A VIEW-CHANGE of another epoch than the NEW-VIEW beside it."""
    UNDECIDED_EPOCH = "undecided_epoch"
    """It rests on a statement of an epoch that this chain lacks."""
    UNDECIDED_MIXED = "undecided_mixed"
    """It rests on statements of another epoch."""
    UNDECIDED_SIZE = "undecided_size"
    """More statements than this verifier reads."""


class ProofError(ValueError):
    """A file that proves nothing; the text is a sentence for the user without its full stop."""

    def __init__(self, code: Code, place: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.place = place
        """What the code is about: part of a file, a number, a member's name, a path."""

    def coded(self) -> str:
        """The sentence and its code, as every verifier shows them."""
        return f"{self} [{self.code}]"
