"""Ticket services of the platform: reads with stronger guarantees, and certificates."""
