"""The web process: HTTP and WebSocket behind daphne."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtvn_project.settings")

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

http = get_asgi_application()

from dtvn_project.sockets import ClosedWhileAway
from validators.dashboard.routing import websocket_urlpatterns

# Who may open a socket (Host, Origin, session or key) is decided in validators.dashboard.access.
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": ClosedWhileAway(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
