"""Tickets: the pure machine ordered by consensus, and the Django shell around it."""
