"""One member's report about itself. It may answer anything: a field that is missing, of another type or too
large counts as if it were not there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dtvn.protocol.quorum import MEMBERS_MAX

SECONDS_MAX = 1e10
"""No difference between two times is larger: 317 years."""
Count = Annotated[int, Meta(ge=0, lt=1 << 62)]
Text = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
Names = Annotated[tuple[Name, ...], Meta(max_length=MEMBERS_MAX)]
Seconds = Annotated[float, Meta(gt=-SECONDS_MAX, lt=SECONDS_MAX)]
Age = Annotated[float, Meta(ge=0, lt=SECONDS_MAX)]
Share = Annotated[float, Meta(ge=0, le=1)]
Ages = Annotated[Mapping[Name, Age | None], Meta(max_length=MEMBERS_MAX)]
Counts = Annotated[Mapping[Text, Count], Meta(max_length=128)]


class OpenSequence(msgspec.Struct, frozen=True, kw_only=True):
    """The lowest sequence that is undecided on a member, and whose votes it has."""

    sequence: Count = 0
    view: Count = 0
    phase: Text = ""
    prepares: Names = ()
    commits: Names = ()
    abstain_reason: Text = ""
    open_for: Age = 0.0
    """Seconds."""


class MemberReport(msgspec.Struct, frozen=True, kw_only=True):
    """One member: first what its asker knows of it, then what it says of itself."""

    id: str
    index: int = 0
    connected: bool = False
    """Whether the asker has a link to it now."""
    primary: bool = False
    """Whether the asker takes it for the primary."""
    heard: float | None = None
    """Seconds since its newest answer; None: never."""
    heard_at: int | None = None
    """Monotonic nanoseconds of that answer by the asker's clock; None: as `heard` says."""
    missed: int = 0
    """Questions about itself that it left unanswered."""
    response_time_ms: float = 0.0
    """Milliseconds that its newest answer took; 0: none yet."""
    entering: int = 0
    """The epoch that has just begun, in which it has not reported a vote yet; 0: none."""
    clock_ahead: float | None = None
    """Seconds by which its clock was ahead of the asker's when it answered; None: unknown."""
    problem: str = ""
    """Why it gave no report; "" if it did."""

    state: Text = ""
    """voting, following, waiting, contradiction or disk_full."""
    release: Text = ""
    """Of its program; "": 0.1.0, which names none."""
    newest: Count = 0
    """The newest version of the cluster that it runs (R47); 0: it does not say."""
    voting: bool = False
    """It has a vote and casts it: neither a follower, nor waiting for others, nor stopped."""
    voting_reason: Text = ""
    changing: bool = False
    """It has left its view and not entered `view` yet."""
    contradiction: Text = ""
    """Why it has stopped: which certificates contradict each other; "" if none do."""
    cluster: Text = ""
    """Id of its cluster, in hexadecimal digits."""
    epoch: Count = 0
    view: Count = 0
    sequence: Count = 0
    """Last executed."""
    stable: Count = 0
    """Sequence of its newest stable checkpoint, which q members signed."""
    state_root: Text = ""
    """Of that checkpoint."""
    complete_from: Count = 0
    """The lowest sequence from which on its log has no holes; 0: it is whole."""
    catching_up_to: Count = 0
    """The sequence up to which it lags; 0: it does not."""
    awaits: Names = ()
    """Members whose word about its own votes it waits for (R11)."""
    others_are_gone: bool = False
    """Its votes rest on the operator's statement."""
    peers: Names = ()
    """Members that it has a link to."""
    hears: Ages | None = None
    """Seconds since it last heard each other member; None: never. None as a whole: it does not report it."""
    round_trips: Annotated[Mapping[Name, Age], Meta(max_length=MEMBERS_MAX)] = {}
    """Milliseconds to each other member."""
    late: Annotated[Mapping[Name, Share], Meta(max_length=MEMBERS_MAX)] = {}
    """Share of the answers of each other member that came late, 0 to 1."""
    round_trip_ms: Age = 0.0
    """Milliseconds within which a quorum answers it."""
    pending: Count = 0
    """Requests that wait."""
    waits: Age = 0.0
    """Seconds for which its oldest request has waited."""
    patience: Age = 0.0
    """Seconds: T of R31, at rest; 0: unknown."""
    suspicion: Text = ""
    """Why it suspects the view; "" if it does not."""
    leader: Text = ""
    """Id of the primary of its view."""
    open: OpenSequence | None = None
    log_time: Count = 0
    """Last effective time that it executed, Unix microseconds; 0: unknown."""
    log_time_ahead: Seconds = 0.0
    """Seconds by which that is ahead of its clock."""
    log_time_behind: Seconds = 0.0
    """Seconds by which the newest proposal was behind it, if by more than is allowed (R3)."""
    own_clock_doubtful: Seconds = 0.0
    """Seconds by which its machine's clock was set ahead, negative: back, while no others agree (R3)."""
    withheld_ahead: Seconds = 0.0
    """Seconds by which the time of a proposal from which it withholds its vote is ahead of its clock."""
    memory: Count = 0
    """Bytes; 0: unknown."""
    events: Counts = {}
    """What it noted since it started, by kind: checkpoints that differed from the certified ones, say."""
    refused: Annotated[Mapping[Text, Counts], Meta(max_length=4 * MEMBERS_MAX)] = {}
    """What it refused of each peer, by code."""
    processor_seconds: Age | None = None
    monotonic_seconds: Age | None = None
    """Its processor time, and the time of its own clock; None: unknown."""


def read_report(member: str, fields: Mapping[str, Any], **known: Any) -> MemberReport:
    """The report in an answer to the question `status`. `known`: what its asker knows of the member."""
    found = {}
    for name, (key, kind) in ANSWERED.items():
        if key in fields:
            with suppress(msgspec.ValidationError):
                found[name] = msgspec.convert(fields[key], kind)
    return MemberReport(id=member, **found, **known)


_ASKERS = frozenset(MemberReport.__struct_fields__[: MemberReport.__struct_fields__.index("state")])
_KEYS = {"hears": "heard", "round_trip_ms": "quorum_round_trip_ms", "leader": "primary"}
ANSWERED = {
    field.name: (_KEYS.get(field.name, field.name), field.type)
    for field in msgspec.structs.fields(MemberReport)
    if field.name not in _ASKERS
}
"""What a member says of itself: field of a report -> field of the answer, and its type."""
