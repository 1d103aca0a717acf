"""An agent that answers with what was recorded: for tests of front ends, without a model."""

from dtvn.replay.application import Answered, Replay
from dtvn.replay.recording import Recorded, has_times, runs_of

__all__ = ["Replay", "Answered", "Recorded", "runs_of", "has_times"]
