"""Addresses of the live page."""

from django.urls import URLPattern, URLResolver, path

from validators.dashboard import views

app_name = "dashboard"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.page, name="page"),
    path("dashboard/snapshot", views.snapshot, name="snapshot"),
    path("dashboard/stuck", views.stuck, name="stuck"),
    path("ws", views.websocket_only, name="websocket"),
]
