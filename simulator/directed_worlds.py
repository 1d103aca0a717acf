"""Directed worlds of a campaign: those that look for moments that random worlds rarely reach."""

from __future__ import annotations

DIRECTED: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    (
        "directed",
        0.06,
        (
            "invalid-batcher",
            "bad-log-results",
            "epochs",
            "equivocator",
            "future-epoch-voter",
            "bad-log-server",
            "lost-checkpoints",
            "bad-state-server",
            "late-votes",
            "early-equivocator",
            "lone-commit",
            "lone-commit-fake-checkpoint",
            "state-transfers",
            "two-certificates",
            "view-change-forger",
        ),
    ),
    ("directed later", 0.02, ("epoch-catch-up", "false-epoch-catch-up")),
    (
        "directed once more",
        0.05,
        (
            *(
                "bad-log-results",
                "false-epoch-catch-up",
                "bad-log-server",
                "lost-checkpoints",
                "late-votes",
                "early-equivocator",
            ),
            *("stranded-member",) * 4,
        ),
    ),
    (
        "directed for processes and bytes",
        0.02,
        ("malleable-signatures", "malleable-signer", "node-reads", "two-processes"),
    ),
    ("directed for lost words", 0.01, ("unheard-view-change", "view-change-heard-by-liar")),
    ("directed for power and late votes", 0.02, ("late-committer", "power-cut", "alternating-batches")),
    ("directed beyond what is borne", 0.01, ("many-learners", "forked", "forked", "older-disk")),
    (
        "directed for events and locks",
        0.03,
        (
            *("equivocating-voter", "false-voter", "late-voter", "unlike-rules"),
            *("runs-over-epochs", "early-ticks") * 2,
        ),
    ),
    (
        "directed for doors",
        0.02,
        ("doors", "doors-among-crashes", *("doors-among-transfers", "poisoned-terms") * 2),
    ),
    ("directed for versions and power", 0.01, ("version-before", "power-cut-in-transfers")),
    (
        "directed for clocks",
        0.02,
        (
            *("clocks-ahead-and-back", "clocks-back", "clocks-of-gateways", "clock-of-one"),
            *("clocks-among-crashes", "clocks-among-changes", "clock-and-long-turns"),
            *("false-refuser", "late-new-view"),
        ),
    ),
    ("directed for recoveries", 0.005, ("recovery-from-prepared",)),
    (
        "directed for lists",
        0.02,
        (
            *("lists", "lists-and-clocks", "lists-over-midnight", "lists-among-crashes"),
            *("lists-among-transfers",) * 2,
        ),
    ),
    (
        "directed for crashes alone",
        0.03,
        (
            *("raft",) * 10,
            *("raft-void-records", "raft-three-two", "raft-leaders-clock", "raft-brief-cut", "raft-no-room"),
            *("raft-figure-8", "raft-changes", "raft-lost-disks", "raft-late-duplicates"),
        ),
    ),
    (
        "directed for followers",
        0.02,
        (
            *("followers-among-crashes", "lying-relay-of-states") * 2,
            *("followers-over-relays", "stale-relay", "withholding-relay", "looping-relays", "lying-relay"),
            *("old-head-signer", "heads-only"),
        ),
    ),
    (
        "directed for logs below a state",
        0.01,
        ("old-heads-of-two", "archives-among-crashes", "archives-of-newcomers", *("bad-archive-server",) * 3),
    ),
)
"""Worlds that may replace a random one: random stream, share, worlds (more often those of rarer moments).
Each row is drawn apart from those before it, so that a seed that is one of these stays the same."""
