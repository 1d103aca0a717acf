"""WebSocket addresses of the platform."""

from django.urls import URLPattern, URLResolver, path, re_path

from validators.dashboard.consumers import FeedConsumer, NoSuchSocket

websocket_urlpatterns: list[URLPattern | URLResolver] = [
    path("ws", FeedConsumer.as_asgi()),  # type: ignore[arg-type]
    re_path(r"", NoSuchSocket.as_asgi()),  # type: ignore[arg-type]
]
