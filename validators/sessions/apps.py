"""The app that keeps sessions."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    """Beside the platform's other tables."""

    name = "validators.sessions"
    label = "kept_sessions"
    verbose_name = "Sessions"
