"""The engine: what a validator, a client and a verifier are made of. Nothing here imports Django."""

__version__ = "0.2.0"
"""The release, which package, REST, metrics and programs name. Forms of the log follow a cluster's version."""
