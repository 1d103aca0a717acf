"""What a node tells Prometheus (spec/dtvn 6): counted in the loop, rendered and served by a thread beside it.

    host, journal, watcher --count--> figures --once a second--> snapshot --on request--> page

The loop only adds to plain numbers and copies them once a second; text, sockets and
disks are the thread's.
"""

from validators.node.metrics.api import ApiFigures
from validators.node.metrics.exporter import Exporter
from validators.node.metrics.figures import Figures
from validators.node.metrics.meter import MeteredTransport
from validators.node.metrics.snapshot import Snapshot, take

__all__ = ["ApiFigures", "Exporter", "Figures", "MeteredTransport", "Snapshot", "take"]
