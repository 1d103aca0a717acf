"""Between an AG-UI agent and its client: judges event streams while they pass, unbuffered.

`EventsMiddleware` does it for any ASGI application; `Forward` is the application that asks an agent
elsewhere: `EventsMiddleware(Forward(url), LocalJudge())` is the proxy, and `AllowHosts` before it keeps
strangers' pages in a browser away.
"""

from dtvn.events.marks import NAME
from dtvn.events.runs import Run
from dtvn.proxy.cluster_judge import ClusterJudge
from dtvn.proxy.findings import Report, Reporter
from dtvn.proxy.forward import Forward
from dtvn.proxy.headers import AddressError
from dtvn.proxy.hosts import AllowHosts
from dtvn.proxy.judge import LOCAL_ONLY, Judge, Judgement, NoVerdict
from dtvn.proxy.local_judge import LocalJudge
from dtvn.proxy.middleware import CLOSING_SECONDS, VERDICT_SECONDS, EventsMiddleware, Mode, StreamBroke
from dtvn.proxy.repair import Repair

__all__ = [
    "EventsMiddleware",
    "Mode",
    "VERDICT_SECONDS",
    "CLOSING_SECONDS",
    "StreamBroke",
    "Forward",
    "Repair",
    "AddressError",
    "AllowHosts",
    "Judge",
    "Judgement",
    "NoVerdict",
    "LocalJudge",
    "ClusterJudge",
    "LOCAL_ONLY",
    "Report",
    "Reporter",
    "Run",
    "NAME",
]
