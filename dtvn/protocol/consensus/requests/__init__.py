"""Policy for requests, behind one Protocol (`policy.Policy`): who may wait, what is proposed next, and when a
primary is too slow or unfair (R20, R30, R32).

`fair_policy` is the policy of this network. The protocol around this package sees the Protocol only.
"""
