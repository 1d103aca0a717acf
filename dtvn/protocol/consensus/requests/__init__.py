"""Requests that wait: the pool, its shares and its order, and how fast requests are executed (R20, R30).

This is policy. What is safe does not depend on it: a replica votes for any correct batch, in whatever order a
primary proposes. Nothing here sees a vote, and `ordering` sees of it only the key of a request.
"""
