"""Which advice is given: the profiles, and the codes that are switched off or chosen alone."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

SEED = frozenset(
    {
        "RUN_LIFECYCLE",
        "RUN_ID_MISMATCH",
        "TOOL_RESULT_UNKNOWN_CALL",
        "PARENT_MESSAGE_UNKNOWN",
        "NO_RUN",
        "STREAM_NOT_TERMINATED",
        "RUN_INCOMPLETE",
        "MESSAGE_INCOMPLETE",
        "MESSAGE_NO_CONTENT",
        "TOOL_INCOMPLETE",
        "TOOL_NO_ARGS",
        "STEP_INCOMPLETE",
        "EMPTY_ID",
        "EMPTY_DELTA",
        "EMPTY_PATCH",
        "ID_FORMAT",
        "MESSAGE_CONTENT",
        "TOOL_CALL_CONTENT",
        "CONTENT_VALIDATION",
        "STATE_VALIDATION",
        "TIMESTAMP_VALIDATION",
        "CUSTOM_EVENT",
        "UNKNOWN_EVENT_TYPE",
        "UNKNOWN_FIELD",
        "OWNER_EXPIRED",
        "PROTOCOL_0X",
    }
)
"""What the Go package advises, and how whole a run is."""
CLIENT = frozenset(
    {
        "CLIENT_REFUSES",
        "STATE_DELTA_NOT_APPLIED",
        "STATE_DELTA_BEFORE_SNAPSHOT",
        "STATE_NOT_FOLLOWED",
        "ACTIVITY_DELTA_NOT_APPLIED",
        "ACTIVITY_DELTA_UNKNOWN",
        "ARGUMENTS_NOT_JSON",
        "ARGUMENTS_DO_NOT_FIT",
        "ARGUMENTS_NOT_CHECKED",
        "CALL_NOT_ANSWERED",
        "MESSAGE_ID_REUSED",
        "TOOL_CALL_ID_REUSED",
        "PARENT_NOT_ASSISTANT",
        "SNAPSHOT_DROPS_OPEN",
        "SNAPSHOT_DROPS_TEXT",
        "SNAPSHOT_MOVES_CALL",
        "SNAPSHOT_DOUBLES",
        "SEALED_VALUE_UNKNOWN",
        "CLIENT_TOOL_ANSWERED",
        "PENDING_CALL_UNKNOWN",
        "THREAD_ID_MISMATCH",
        "RESUME_LEAVES_OPEN",
        "INTERRUPT_ID_REUSED",
        "CANCELLED_WITH_RESULT",
        "USAGE_DOES_NOT_ADD_UP",
        "SUBAGENT_ANNOUNCED_LATE",
        "LINE_ENDS",
        "TOOL_RESULT_UNKNOWN_CALL",
        "NO_RUN",
        "STREAM_NOT_TERMINATED",
        "UNKNOWN_EVENT_TYPE",
        "UNKNOWN_FIELD",
        "UNKNOWN_MEMBER",
        "PROTOCOL_NEWER",
        "PROTOCOL_0X",
        "NOT_UTF8",
    }
)
"""What the official client 1.0 loses, drops or changes of a stream that it takes."""
_NOT_BY_DEFAULT = frozenset(
    {
        # Clients make the message that a call names as its parent.
        "PARENT_MESSAGE_UNKNOWN",
        # STREAM_NOT_TERMINATED names what is open; RUN_ERROR may come whatever is open.
        "RUN_INCOMPLETE",
        "MESSAGE_INCOMPLETE",
        "TOOL_INCOMPLETE",
        "STEP_INCOMPLETE",
    }
)
CODES = SEED | CLIENT
"""Every code of advice."""


class Profile(StrEnum):
    """A choice of advice."""

    DEFAULT = "default"
    """Both of the others, without what few would act on."""
    SEED = "seed"
    CLIENT = "client"


_OF = {Profile.DEFAULT: CODES - _NOT_BY_DEFAULT, Profile.SEED: SEED, Profile.CLIENT: CLIENT}


def chosen(profile: Profile, off: Iterable[str] = (), only: Iterable[str] = ()) -> frozenset[str]:
    """The codes of a profile without `off`; of any profile those of `only`, if there are any."""
    return (frozenset(only) or _OF[profile]) - frozenset(off)


def codes_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """The codes in a text with commas, or in texts of one code each. Raises ValueError for others."""
    codes = tuple(each.strip() for each in (given.split(",") if isinstance(given, str) else given))
    for each in codes:
        if each not in CODES:
            known = ", ".join(sorted(CODES))
            raise ValueError(f"{each!r} is no code of advice; these are: {known}")
    return codes
