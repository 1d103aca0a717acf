"""What keeps a network from starting."""


class StartError(Exception):
    """One clear line for the person at the terminal; the exit code is not zero."""
