"""Every bound and time of the core in one table, with its unit and reason (PROTOCOL R20, R30, R31).

Times here are nanoseconds of the monotonic clock unless the name says otherwise.
"""

from __future__ import annotations

import msgspec

from validators import quorum
from validators.consensus.membership import Membership, founding
from validators.genesis import (
    POOL_CLIENT_SHARE,
    POOL_OPERATIONS_MAX,
    VIEW_CHANGE_BYTES_MAX,
    Genesis,
    view_change_bytes,
    window,
)

__all__ = ["Config", "ConfigError", "build"]

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


FRAMES_SUPPLIED_MAX = 256
"""Frames in one SupplyFrames."""
ENTRIES_SUPPLIED_MAX = 256
"""Entries in one Entries."""

TRANSFER_LAG = 1_000
TRANSFER_TICKETS = 32
TRANSFER_PATIENCE = 5 * SECOND
"""Config.transfer_lag, _tickets and _patience, where nothing else is said."""


class ConfigError(ValueError):
    """A configuration that cannot be safe or live; the text names field, value and rule."""


class Config(msgspec.Struct, frozen=True):
    """What a replica needs to know about itself and its cluster; shared parts come from genesis."""

    cluster: bytes
    """Cluster id, 32 bytes."""
    epoch: int
    members: tuple[str, ...]
    """Member ids in order of their index."""
    index: int | None
    """My index; None: a learner, which never votes."""
    checkpoint_interval: int
    window: int
    """L: sequences above the stable checkpoint that may be open (R20)."""
    drift_bound: int
    """Microseconds a fresh proposal's timestamp may differ from this node's clock (R3)."""
    batch_operations_max: int
    batch_bytes_max: int
    sessions_max: int
    nonces_max: int
    timeout_base: int = 800 * MILLISECOND
    """T at rest on a local network (R31)."""
    timeout_max: int = 8 * SECOND
    heartbeat: int = 200 * MILLISECOND
    """Of an idle primary; `build` makes it a quarter of T where T is shorter than 800 ms (R30)."""
    batch_delay: int = 1 * MILLISECOND
    """A batch that is not full waits at most this long while others are in flight."""
    pipeline: int = 8
    """Unexecuted proposals of one primary at once."""
    pool_operations_max: int = POOL_OPERATIONS_MAX
    """Operations waiting to be ordered; beyond it clients are told `busy`."""
    pool_client_share: int = POOL_CLIENT_SHARE
    """One session may hold at most 1/4 of the pool."""
    future_frames_max: int = 2_048
    """Frames kept for the next view; beyond it they are dropped and asked for again (status)."""
    replies_kept: int = 4_096
    """Signed answers to retries kept, so that a storm of them costs one signature each."""
    fetch_entries_max: int = 64
    """Log entries asked for at once; a range up to a checkpoint may be longer."""
    fetch_retry: int = 250 * MILLISECOND
    """An unanswered question goes to the next member after this time."""
    fetch_delay: int = 20 * MILLISECOND
    """A body that is missing is asked for after this time: it may be behind smaller frames."""
    first_word: int = 0
    """So long, if longer than T, a primary may be silent towards a replica that just started and never
    heard it: members that start together are not ready together. Waiting work has its own clock (R30)."""
    status_idle: int = 1 * SECOND
    """A backup to which nothing is lacking tells its Status this often."""
    resend_after: int = 100 * MILLISECOND
    """A sequence is called missing when it is open this long; an answer to one member waits as long."""
    resend_bytes_max: int = 1024 * 1024
    """Bytes sent again in answer to one Status."""
    pool_bytes_max: int = 32 * 1024 * 1024
    """Bytes of waiting requests; beyond it clients are told `busy`."""
    bodies_bytes_max: int = 64 * 1024 * 1024
    """Decoded batch bodies of open sequences; executed ones go first, then new ones are not kept."""
    future_bytes_max: int = 32 * 1024 * 1024
    """Bytes kept for the next view, shared equally by links."""
    transfer_lag: int = TRANSFER_LAG
    """Sequences behind from which on the state is fetched instead of the log ..."""
    transfer_tickets: int = TRANSFER_TICKETS
    """... or one for so many tickets that this replica has already, where these are more (decision 0158)."""
    transfer_retry: int = 1 * SECOND
    """A source of state that is silent for so long is asked less; offers are asked for as often."""
    transfer_patience: int = TRANSFER_PATIENCE
    """After so long without progress at fetching the log the state is fetched, however small the lag."""
    base: int = 0
    """Sequence after which this epoch begins; 0 for genesis. Stable by what ended the epoch before."""
    timeout_adapted_max: int = 5 * SECOND
    """T never exceeds this by measured round trips; doubling may go on to `timeout_max` (R31)."""

    @property
    def n(self) -> int:
        """Number of members."""
        return len(self.members)

    @property
    def f(self) -> int:
        """Liars tolerated."""
        return quorum.faults(self.n)

    @property
    def reach(self) -> int:
        """Sequences above the own stable checkpoint that are taken in. A primary proposes within `window`
        of its own; it may know of one checkpoint more, and what it proposes then must not be lost."""
        return self.window + self.checkpoint_interval

    @property
    def q(self) -> int:
        """Quorum."""
        return quorum.quorum(self.n)

    @property
    def statements_max(self) -> int:
        """Statements that an honest message carries at most: a full VIEW-CHANGE beside a full supply of
        frames, or a full range of entries with their COMMITs. The door refuses more unseen, since a
        liar's valid signatures cost as much as honest ones."""
        # A CHECKPOINT certificate, and for each sequence in reach a PRE-PREPARE with q - 1 PREPAREs.
        view_change = self.q + self.reach * self.q
        return max(view_change + FRAMES_SUPPLIED_MAX, (ENTRIES_SUPPLIED_MAX + 1) * self.q)


def build(
    genesis: Genesis, cluster: bytes, member_id: str | None, membership: Membership | None = None
) -> Config:
    """Derive a replica's configuration in an epoch (None: the first); raise ConfigError naming field,
    value and rule."""
    now = membership or founding(genesis)
    parameters = now.parameters
    index = None if member_id is None else now.find(member_id)
    if member_id is not None and index is None:
        raise ConfigError(f"id: {member_id!r} is no member of this cluster")
    config = Config(
        cluster=cluster,
        epoch=now.epoch,
        base=now.after,
        members=tuple(member.id for member in now.members),
        index=index,
        checkpoint_interval=parameters.checkpoint_interval,
        window=window(parameters),
        drift_bound=parameters.drift_bound,
        batch_operations_max=parameters.batch_operations_max,
        batch_bytes_max=parameters.batch_bytes_max,
        sessions_max=parameters.sessions_max,
        nonces_max=parameters.nonces_max,
        timeout_base=parameters.view_timeout * 1_000,
        heartbeat=min(200 * MILLISECOND, parameters.view_timeout * 1_000 // 4),
    )
    check(config)
    return config


def check(config: Config) -> None:
    """Refuse (n, L) whose largest message would exceed the wire limit of 10 MiB (R20)."""
    view_change = view_change_bytes(config.n, config.reach)
    if view_change > VIEW_CHANGE_BYTES_MAX:
        raise ConfigError(
            f"window: {config.window} sequences of {config.n} members make a VIEW-CHANGE of "
            f"{view_change} bytes, over the wire limit"
        )
