"""The simulator over HTTP and WebSocket (spec 3.2, 3.4, 10): one run at a time, in a worker, kept afterwards.

The row of a run is the truth about it, and the kernel's lock of the process that plays it says whether that
row still speaks for anybody. A run survives its web process, and nothing else: when its worker dies it has
failed, which whoever looks next finds out and writes down.
"""
