"""Runs of agent events that the cluster judges: REST, streams, WebSocket, page and admin.

The platform keeps of a run what it needs to show and to prove a verdict: names, counts, rule ids, how each
member voted, and certificates. Events stay with the agent's operator; the event that broke a rule, with its
neighbours, is held in memory only (services.excerpts).
"""
