"""The engine: what a validator, a client and a verifier are made of. Nothing here imports Django."""

__version__ = "0.2.0"
"""The release. Package, REST, metrics and programs name this one; what a cluster runs is its version (R47)."""
