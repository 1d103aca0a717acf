"""Epochs: the chain of signed epoch change proofs, and how a member that missed some follows it. Pure."""
