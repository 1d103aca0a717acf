"""As primary, dates all its batches an hour behind: log time stands (P16, R3)."""

from __future__ import annotations

from simulator.adversary.false_timestamper import HOUR, FalseTimestamper


class TimeHolder(FalseTimestamper):
    """A false timestamper that never proposes a right time, and never one that backups refuse."""

    share = 1.0

    def shifts(self, drift: int) -> tuple[int, ...]:
        """See FalseTimestamper."""
        return (-HOUR,)
