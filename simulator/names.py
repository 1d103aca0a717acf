"""Names of adversaries and worlds, for parsers and checks that must not import the simulator itself.

`simulator.adversary` and `simulator.worlds` hold what the names stand for; a test compares them.
"""

# fmt: off
ADVERSARIES = (
    "amnesiac", "progress-inflator", "byzzfuzz", "censor", "invalid-batcher", "equivocator", "flooder",
    "cross-cluster-replayer", "forger", "idle-primary", "impostor", "bad-log-server",
    "minimal-quorum-sender", "mutator", "mute", "replayer", "slow-primary", "false-timestamper",
    "time-holder", "view-change-forger", "byte-corrupter", "twin", "false-suspector", "future-epoch-voter",
    "duplicate-session-client", "bad-state-server", "removed-member", "vote-repeater",
    "early-equivocator", "malleable-signer", "late-committer", "tickless-primary",
    "empty-batcher", "false-voter", "equivocating-voter", "late-voter", "false-refuser",
    "old-head-signer", "bad-archive-server",
)
RELAY_LIES = ("stale", "withhold", "loop", "lie", "false states", "one head", "heads only", "old heads")
WORLDS: tuple[str, ...] = (
    "random", "small", "twins", "calm", "clocks-ahead-and-back", "clocks-back", "clocks-of-gateways",
    "clock-of-one", "clocks-among-crashes", "clocks-among-changes", "false-refuser", "clock-and-long-turns",
    "late-new-view", "lossy", "crashes", "power-cut", "all-crash", "full-disks",
    "lost-disks", "lost-disks-at-rest", "suspended-nodes", "leaderless", "sequence-gaps", "long-run",
    "lost-checkpoints", "tiny-batches", "retries", "expiring-requests", "many-sessions",
    "unauthorized-client", "lying-client", "opening-flood", "false-suspicions", "votes-before-proposals",
    "equivocator-of-five", "idle-primary", "unheard-view-change",
    "view-change-heard-by-liar", "many-learners",
    "followers-over-relays", "followers-among-crashes", "stale-relay", "withholding-relay", "looping-relays",
    "lying-relay", "lying-relay-of-states", "old-head-signer", "old-heads-of-two", "heads-only", "forked",
    "older-disk", "unused-disk",
    "older-and-lost-disk", "recovery-from-prepared", "version-before", "recorded-runs",
    "equivocating-voter", "false-voter", "votes-taken-back", "any-algorithm", "late-voter", "unlike-rules",
    "runs-over-epochs",
    "lock-queues", "early-ticks", "tickless-primary", "empty-batcher", "doors", "doors-among-crashes",
    "doors-among-transfers", "poisoned-terms", "lists", "lists-among-crashes", "lists-among-transfers",
    "lists-and-clocks", "lists-over-midnight", "node-reads",
    "barrier-reads", "two-processes", "malleable-signatures", "malleable-signer", "one-way-links",
    "view-change-forger", "slow-primary", "epochs", "busy-epochs", "future-epoch-voter", "removed-member",
    "unready-members", "shrinking", "few-members", "epoch-catch-up", "false-epoch-catch-up",
    "stranded-member", "state-transfers", "power-cut-in-transfers",
    "archives-among-crashes", "archives-of-newcomers", "bad-archive-server", "poisoned-archives",
    "misshapen-archives",
    "bad-state-server", "poisoned-chunks", "poisoned-logs",
    "poisoned-proofs", "bad-log-server", "lone-commit", "lone-commit-swapped-proofs",
    "lone-commit-reused-proofs", "lone-commit-fake-checkpoint", "two-certificates", "late-committer",
    "alternating-batches", "late-votes", "bad-log-results", "idle-primaries", "censor", "amnesiac",
    "progress-inflator", "byzzfuzz", "minimal-quorum-sender", "mutator", "invalid-batcher", "equivocator",
    "flooder", "cross-cluster-replayer", "forger", "impostor", "mute", "replayer", "false-timestamper",
    "twin", "byte-corrupter", "false-suspector", "duplicate-session-client", "vote-repeater",
    "early-equivocator",
    "raft", "raft-figure-8", "raft-void-records", "raft-void-and-pruned", "raft-unheard-leader",
    "raft-leader-restarts", "raft-short-log", "raft-brief-cut", "raft-no-room", "raft-one-of-three",
    "raft-late-duplicates", "raft-minority-leader", "raft-three-two", "raft-hub", "raft-lost-disks",
    "raft-changes", "raft-leaders-clock", "raft-comes-back",
    "raft-first-clock", "raft-head-from-the-future",
    "planned-stop", "raft-planned-stop", "raft-reads", "raft-one-gone", "raft-put-back",
    "raft-unheard-answer", "raft-copy-beside", "raft-clocks-apart", "clocks-ahead-in-halves",
    "clocks-behind-in-halves", "clocks-stepped-apart", "idle-night", "time-holder", "raised-version",
)
IN_RAFT_TOO = (
    "calm", "clocks-of-gateways", "clock-of-one", "lossy", "crashes", "power-cut", "all-crash",
    "full-disks", "lost-disks", "lost-disks-at-rest", "suspended-nodes", "leaderless", "sequence-gaps",
    "long-run", "lost-checkpoints", "tiny-batches", "retries", "expiring-requests", "many-sessions",
    "unauthorized-client", "opening-flood", "many-learners", "older-disk", "unused-disk",
    "older-and-lost-disk", "recorded-runs", "runs-over-epochs", "lock-queues", "early-ticks", "doors",
    "doors-among-crashes", "doors-among-transfers", "lists", "lists-among-crashes",
    "lists-among-transfers", "lists-over-midnight", "node-reads", "barrier-reads", "two-processes",
    "malleable-signatures", "one-way-links", "epochs", "busy-epochs", "unready-members", "shrinking",
    "few-members", "epoch-catch-up", "stranded-member", "state-transfers", "lone-commit",
    "two-certificates", "lying-client", "clocks-among-crashes", "clocks-among-changes",
    "clocks-ahead-and-back", "clocks-back", "lists-and-clocks",
)
"""Worlds that members who order by Raft play too, under the name `raft:NAME`."""
# fmt: on
WORLDS += tuple(f"raft:{name}" for name in IN_RAFT_TOO)
