"""Agent events on the wire: gateways ask, members judge and answer with signed votes. Pure.

`MemberJudge` is the member's side, which a node's host drives; `Asker` the gateway's: it sends questions of
many runs together, and again until they are answered."""

from dtvn.events.asking.asker import Answered, Asker
from dtvn.events.asking.forms import (
    CHUNK_BYTES_MAX,
    EVENT_BYTES_MAX,
    STATE_BYTES_MAX,
    VERSION,
    Answers,
    Asked,
    Asks,
    FormError,
    decode_answers,
)
from dtvn.events.asking.member import ASKING, Member, MemberJudge

__all__ = [
    "ASKING",
    "Answered",
    "Answers",
    "Asked",
    "Asker",
    "Asks",
    "CHUNK_BYTES_MAX",
    "EVENT_BYTES_MAX",
    "FormError",
    "Member",
    "MemberJudge",
    "STATE_BYTES_MAX",
    "VERSION",
    "decode_answers",
]
