"""A node's Prometheus metrics (spec/dtvn 6): counted in the loop, rendered and served by another thread.

    host, journal, watcher --count--> figures --once a second--> snapshot --on request--> page

The loop only adds to plain numbers and copies them once a second; the thread handles text, sockets and
disks.
"""

from dtvn.node.metrics.api import ApiFigures
from dtvn.node.metrics.exporter import Exporter
from dtvn.node.metrics.figures import Figures
from dtvn.node.metrics.meter import MeteredTransport
from dtvn.node.metrics.snapshot import Snapshot, take

__all__ = ["ApiFigures", "Exporter", "Figures", "MeteredTransport", "Snapshot", "take"]
