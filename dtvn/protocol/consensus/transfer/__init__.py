"""Log and state for a replica or learner that is behind (R23).

`catch_up` fetches the log, in `entries`; `receiving` fetches a whole state, in `parts`, when the log is too
long; `serving` answers the members that do so.
"""
