"""WebSocket addresses of judging."""

from django.urls import URLPattern, URLResolver, path

from events.socket import EventsConsumer

websocket_urlpatterns: list[URLPattern | URLResolver] = [
    path("ws/events", EventsConsumer.as_asgi()),  # type: ignore[arg-type]
]
