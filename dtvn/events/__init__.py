"""Rules for AG-UI event streams, judging by signed votes, and balancing. Pure.

`validate` checks the events of a stream on this machine, as `dtvn validate` does.
"""

from dtvn.events.advice import Profile
from dtvn.events.report import Result
from dtvn.events.rules import FramingError, Severity, Violation
from dtvn.events.validation import validate

__all__ = ["validate", "Result", "Violation", "Severity", "Profile", "FramingError"]
