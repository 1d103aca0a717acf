"""Bugs that outsiders planted: does a fast test that runs the changed lines notice each patch of a folder?

seconds   pytest plugin: how long each test took
record    which tests run which line, once for a commit
places    the lines that a patch changes, and their tests
judge     a patch in a checkout of its own, under a limit of processor time
"""
