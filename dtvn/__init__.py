"""The engine: what a validator, a client and a verifier are made of. Nothing here imports Django."""
