"""Offline recovery: all members continue a cluster in which nothing can be ordered any more (R11). Pure.

    telling, reading   each member, offline, signs a statement of what its ledger holds
    planning           the log is computed from all n statements, as the primary of a new view would do it
    ending             each member executes the plan, then the operation `recover`, and signs the epoch's end
    sealing            all n signatures are the epoch change proof; each ledger stores it in one transaction

Nothing here writes or opens a ledger: `dtvn.node.recovering` does.
"""
