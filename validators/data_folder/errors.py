"""The error that keeps a network from starting."""


class StartError(Exception):
    """One clear line for the operator at the terminal; the exit code is not zero."""
