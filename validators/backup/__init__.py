"""Backups of a data folder: what they hold, the archive that they are, and how one is restored."""
