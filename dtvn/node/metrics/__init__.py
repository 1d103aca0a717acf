"""A node's Prometheus metrics: counted in the loop, served by threads of prometheus_client.

    host, journal, watcher --count--> figures --once a second--> snapshot --on request--> exporter's page

The loop only counts, and copies its values once a second; the threads handle text, sockets and disks.
"""

from dtvn.node.metrics.api import ApiFigures
from dtvn.node.metrics.exporter import Exporter
from dtvn.node.metrics.figures import Figures
from dtvn.node.metrics.meter import MeteredTransport
from dtvn.node.metrics.snapshot import MeasuredMember, Snapshot, take

__all__ = ["ApiFigures", "Exporter", "Figures", "MeasuredMember", "MeteredTransport", "Snapshot", "take"]
