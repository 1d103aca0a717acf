"""The engine: what a validator, a client and a verifier are made of. Nothing here imports Django."""

__version__ = "0.2.0"
"""The release, as package, REST, metrics and programs name it. A cluster has its own version (R47)."""
