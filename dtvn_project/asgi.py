"""The web process: HTTP and WebSocket behind daphne."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtvn_project.settings")

import django
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter

django.setup(set_prefix=False)

from events.routing import websocket_urlpatterns as events_urlpatterns
from validators.dashboard.routing import websocket_urlpatterns
from validators.web.one_hop import OneHopHandler
from validators.web.sockets import ClosedWhileAway

http = OneHopHandler()

# Who may open a socket (Host, Origin, session or key) is decided in validators.dashboard.access.
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": ClosedWhileAway(
            AuthMiddlewareStack(URLRouter([*events_urlpatterns, *websocket_urlpatterns]))
        ),
    }
)
