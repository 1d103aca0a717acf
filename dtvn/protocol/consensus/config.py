"""All bounds and times of the core in one table, with units and reasons (R20, R30, R31).

Times here are nanoseconds of the monotonic clock unless the name says otherwise.
"""

from __future__ import annotations

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.genesis import (
    POOL_CLIENT_SHARE,
    POOL_OPERATIONS_MAX,
    VIEW_CHANGE_BYTES_MAX,
    Genesis,
    mode,
    view_change_bytes,
    window,
)
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import LISTS

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


FRAMES_SUPPLIED_MAX = 256
"""Most frames in one SupplyFrames."""
ENTRIES_SUPPLIED_MAX = 256
"""Most entries in one Entries."""

TRANSFER_LAG = 1_000
"""Default of Config.transfer_lag, sequences."""
TRANSFER_TICKETS = 32
"""Default of Config.transfer_tickets, tickets."""
TRANSFER_PATIENCE = 5 * SECOND
"""Default of Config.transfer_patience, nanoseconds."""


class ConfigError(ValueError):
    """A configuration that cannot be safe or live; the text names field, value and rule."""


class Config(msgspec.Struct, frozen=True):
    """Configuration of a replica and its cluster; the shared parts come from genesis."""

    cluster: bytes
    """Cluster id, 32 bytes."""
    epoch: int
    """Number of the epoch, 0 for genesis."""
    members: tuple[str, ...]
    """Member ids in order of their index."""
    index: int | None
    """This replica's index; None for a learner, which never votes."""
    mode: Mode
    """How the members agree, which says how many of them decide (R44)."""
    checkpoint_interval: int
    """Sequences from one checkpoint to the next (R24)."""
    window: int
    """L: sequences above the stable checkpoint that may be open (R20)."""
    drift_bound: int
    """Microseconds by which a fresh proposal's timestamp may be ahead of this node's clock (R3)."""
    batch_operations_max: int
    """Most operations in a batch that a replica votes for (R20)."""
    batch_bytes_max: int
    """Most bytes of an encoded batch body that a replica votes for (R20)."""
    timeout_base: int = 800 * MILLISECOND
    """T at rest on a local network (R31)."""
    timeout_max: int = 8 * SECOND
    """Bound of T as doubled after failed view changes (R31)."""
    heartbeat: int = 200 * MILLISECOND
    """Heartbeat interval of an idle primary; `build` sets a quarter of T if T is under 800 ms (R30)."""
    batch_delay: int = 1 * MILLISECOND
    """A batch that is not full waits at most this long while others are in flight."""
    tick_interval: int = 50 * MILLISECOND
    """An idle primary orders empty batches for what is due at most this often."""
    pipeline: int = 8
    """Most unexecuted proposals of one primary at once."""
    pool_operations_max: int = POOL_OPERATIONS_MAX
    """Most operations waiting to be ordered; beyond it clients are answered `busy`."""
    pool_client_share: int = POOL_CLIENT_SHARE
    """One session may hold at most 1/4 of the pool."""
    future_frames_max: int = 2_048
    """Most frames kept for the next view; beyond it they are dropped and requested again (via Status)."""
    answers_kept: int = 2_048
    """Answers to retries that are kept, so that any number of retries costs at most one signature each."""
    fetch_entries_max: int = 64
    """Most log entries requested at once; a range up to a checkpoint may be longer."""
    fetch_retry: int = 250 * MILLISECOND
    """An unanswered request goes to the next member after this time."""
    fetch_delay: int = 20 * MILLISECOND
    """A missing body is requested after this time: it may be queued behind smaller frames."""
    first_message_timeout: int = 0
    """Time, if longer than T, for which a newly started replica waits for the first message of the primary:
    members that start together are not ready together. Waiting work has its own timeout (R30)."""
    status_idle: int = 1 * SECOND
    """Interval between the Status messages of a backup that lacks nothing."""
    resend_after: int = 100 * MILLISECOND
    """A sequence counts as missing after being open this long; also the interval of answers to one member."""
    resend_bytes_max: int = 1024 * 1024
    """Most bytes resent in answer to one Status."""
    pool_bytes_max: int = 32 * 1024 * 1024
    """Most bytes of waiting requests; beyond it clients are answered `busy`."""
    bodies_bytes_max: int = 64 * 1024 * 1024
    """Most bytes of decoded batch bodies of open sequences; when full, executed ones are dropped first, then
    new ones are not kept."""
    future_bytes_max: int = 32 * 1024 * 1024
    """Most bytes kept for the next view, shared equally by links."""
    transfer_lag: int = TRANSFER_LAG
    """Lag in sequences above which a replica fetches the state instead of the log."""
    transfer_tickets: int = TRANSFER_TICKETS
    """The lag must also exceed one sequence per this many tickets in the replica's state (decision 0158)."""
    transfer_retry: int = 1 * SECOND
    """A source of state that is silent for this long gets fewer requests; also the interval of requests for
    offers."""
    transfer_patience: int = TRANSFER_PATIENCE
    """After this time without progress at fetching the log a replica fetches the state, at any lag."""
    base: int = 0
    """Sequence after which this epoch begins; 0 for genesis. The end of the previous epoch made it stable."""
    timeout_adapted_max: int = 5 * SECOND
    """Bound of T as adapted to measured round trips; doubling may go on to `timeout_max` (R31)."""
    shows_clocks: bool = True
    """Whether members show their clocks (R3): not in a version whose members cannot read that (R47)."""

    @property
    def n(self) -> int:
        """Number of members."""
        return len(self.members)

    @property
    def f(self) -> int:
        """Number of Byzantine members tolerated."""
        return quorum.faults(self.n, self.mode)

    @property
    def watermark_span(self) -> int:
        """Number of sequences above its stable checkpoint for which a replica accepts messages. A primary
        proposes within `window` of its own checkpoint, which may be one checkpoint newer; its proposals must
        not be lost."""
        return self.window + self.checkpoint_interval

    @property
    def q(self) -> int:
        """Size of a quorum."""
        return quorum.quorum(self.n, self.mode)

    @property
    def statements_max(self) -> int:
        """Most statements that an honest message carries: a full VIEW-CHANGE beside a full supply of frames,
        or a full range of entries with their COMMITs. The door refuses a message with more before checking
        it, since checking a faulty member's valid signatures costs as much as checking honest ones."""
        # A CHECKPOINT certificate, and for each sequence in the span a PRE-PREPARE with q - 1 PREPAREs.
        view_change = self.q + self.watermark_span * self.q
        return max(view_change + FRAMES_SUPPLIED_MAX, (ENTRIES_SUPPLIED_MAX + 1) * self.q)


def build(
    genesis: Genesis, cluster: bytes, member_id: str | None, membership: Membership | None = None
) -> Config:
    """Derive a replica's configuration for an epoch (`membership` None: the first); raise ConfigError naming
    field, value and rule."""
    now = membership or founding(genesis)
    parameters = now.parameters
    if now.mode is not mode(genesis):
        raise ConfigError(f"mode: epoch {now.epoch} says {now.mode.value}, genesis {mode(genesis).value}")
    index = None if member_id is None else now.find(member_id)
    if member_id is not None and index is None:
        raise ConfigError(f"id: {member_id!r} is not a member of this cluster")
    config = Config(
        cluster=cluster,
        epoch=now.epoch,
        base=now.after,
        members=tuple(member.id for member in now.members),
        index=index,
        mode=now.mode,
        checkpoint_interval=parameters.checkpoint_interval,
        window=window(parameters),
        drift_bound=parameters.drift_bound,
        shows_clocks=now.version >= LISTS,
        batch_operations_max=parameters.batch_operations_max,
        batch_bytes_max=parameters.batch_bytes_max,
        timeout_base=parameters.view_timeout * 1_000,
        heartbeat=min(200 * MILLISECOND, parameters.view_timeout * 1_000 // 4),
    )
    check(config)
    return config


def check(config: Config) -> None:
    """Refuse (n, L) whose largest message would exceed the wire limit of 10 MiB (R20)."""
    view_change = view_change_bytes(config.n, config.watermark_span)
    if view_change > VIEW_CHANGE_BYTES_MAX:
        raise ConfigError(
            f"window: {config.window} sequences of {config.n} members make a VIEW-CHANGE of "
            f"{view_change} bytes, over the wire limit"
        )
