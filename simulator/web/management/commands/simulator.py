"""`manage.py simulator`: see simulator.cli.command."""

from simulator.cli.command import Command

__all__ = ["Command"]
