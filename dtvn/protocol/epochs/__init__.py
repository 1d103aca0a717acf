"""Epochs: the chain of signed hand-overs, and how a member that missed some follows it. Pure."""
