"""How all members continue a cluster in which nothing can be ordered any more (R11). Pure.

    telling, reading   each member, offline, signs what its ledger holds
    planning           from all n of these follows what the log is, as a new view's primary would find it
    ending             each executes that, and the operation `recover` behind it, and signs the epoch's end
    sealing            all n signatures are the hand-over; each ledger takes it in one transaction

Nothing here writes or opens a ledger: `validators.node.recovering` does.
"""
