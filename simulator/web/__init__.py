"""The simulator over HTTP and WebSocket: one run at a time, in a worker, kept afterwards.

The row of a run is the authoritative record, and the lock that the kernel holds for the process that plays it
shows whether that process still lives. A run survives its web process, but not its worker: when the worker
dies the run has failed, which the next reader of the row finds out and writes down.
"""
