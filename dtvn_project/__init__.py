"""The Django project: settings, URLs, ASGI and Celery entry points. No domain code."""
