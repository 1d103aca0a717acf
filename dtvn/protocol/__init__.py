"""The protocol: consensus, its messages, and the host that drives it. Pure: no clock, randomness, socket or
file."""
