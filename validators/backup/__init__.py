"""Backups of a data folder: their contents, their archive, and how one is restored."""
