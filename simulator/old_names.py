"""Names of worlds, adversaries and planted bugs that were renamed; the old ones are accepted for one release.

A world that is played for one adversary has the adversary's name, so both renames apply to worlds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

ADVERSARIES = {
    "alarmist": "false-suspector",
    "boaster": "progress-inflator",
    "crammer": "invalid-batcher",
    "foreigner": "cross-cluster-replayer",
    "hasty": "future-epoch-voter",
    "idler": "idle-primary",
    "latecomer": "late-committer",
    "librarian": "bad-log-server",
    "malleator": "malleable-signer",
    "miser": "minimal-quorum-sender",
    "namesake": "duplicate-session-client",
    "parrot": "replayer",
    "poisoner": "bad-state-server",
    "revenant": "removed-member",
    "sluggard": "slow-primary",
    "straggler": "vote-repeater",
    "teaser": "early-equivocator",
    "timekeeper": "false-timestamper",
    "usurper": "view-change-forger",
    "vandal": "byte-corrupter",
}
"""Old name -> new name."""
WORLDS = {
    **ADVERSARIES,
    "alarmed": "false-suspicions",
    "barriers": "barrier-reads",
    "crossings": "epoch-catch-up",
    "crowded-epochs": "busy-epochs",
    "editor": "bad-log-results",
    "few": "few-members",
    "followers": "many-learners",
    "forgotten": "unheard-view-change",
    "forgotten-but-for-a-liar": "view-change-heard-by-liar",
    "gaps": "sequence-gaps",
    "guest": "unauthorized-client",
    "hasty-crossings": "false-epoch-catch-up",
    "idlers": "idle-primaries",
    "long-night": "long-run",
    "malleable": "malleable-signatures",
    "one-way": "one-way-links",
    "readers": "node-reads",
    "repeats": "retries",
    "rogue": "lying-client",
    "short-lived": "expiring-requests",
    "sleepers": "suspended-nodes",
    "stragglers": "late-votes",
    "stranded": "stranded-member",
    "torn": "lone-commit",
    "torn-fake": "lone-commit-fake-checkpoint",
    "torn-reuse": "lone-commit-reused-proofs",
    "torn-swap": "lone-commit-swapped-proofs",
    "transfers": "state-transfers",
    "two-batches-in-turn": "alternating-batches",
    "unready": "unready-members",
}
MUTANTS = {
    "a-fork-is-a-bad-page": "fork-taken-for-bad-page",
    "believes-strangers-about-itself": "any-own-statement-costs-vote",
    "carried-is-judged": "reproposal-revalidated",
    "certificate-of-a-few": "certificate-below-quorum",
    "crosses-unproved": "epoch-end-unproved",
    "dies-of-noise": "garbage-ends-process",
    "door-open": "signatures-not-checked",
    "everybody-may": "capabilities-not-checked",
    "fenced-process-speaks": "fenced-process-sends",
    "few-members-unasked": "few-members-without-flag",
    "follower-places-never-freed": "no-announcements",
    "forgets-what-it-told": "acknowledged-position-forgotten",
    "full-disk-shrugged-off": "full-disk-ignored",
    "hand-over-not-checked": "epoch-change-proof-not-checked",
    "hears-only-primary": "requests-not-forwarded",
    "keeps-all-the-future": "future-statements-unbounded",
    "known-by-its-bytes": "statement-identified-by-bytes",
    "leaves-alone": "leaves-view-alone",
    "log-root-of-the-head": "log-root-restarts",
    "nothing-said-again": "no-retransmission",
    "one-cry-is-enough": "one-suspicion-is-enough",
    "one-word-is-a-target": "one-claim-is-a-target",
    "path-of-the-neighbour": "path-of-another-leaf",
    "places-are-for-good": "no-announcements",
    "proves-the-present": "proves-current-state",
    "quorum-of-the-founders": "quorum-of-first-epoch",
    "read-of-a-few": "read-below-quorum",
    "root-of-the-process": "root-depends-on-process",
    "rows-by-half": "half-of-rows-written",
    "slowness-is-endured": "slow-primary-tolerated",
    "speaks-first": "sends-before-persisting",
    "waiting-is-no-ground": "waiting-raises-no-suspicion",
    "wants-everything": "no-cheap-checks",
    "words-of-life-not-counted": "liveness-proofs-not-counted",
}

_told: set[str] = set()


def current(name: str, renamed: Mapping[str, str]) -> str:
    """The present form of a name; prints one line on standard error for each old one, once per process. What
    follows a slash stays (`usurper/omit`)."""
    old, slash, variant = name.partition("/")
    if old not in renamed:
        return name
    new = f"{renamed[old]}{slash}{variant}"
    if name not in _told:
        _told.add(name)
        sys.stderr.write(f"{name} is called {new} now; the old name ends with the next release\n")
    return new
