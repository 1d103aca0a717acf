"""The Django project: settings, URLs and the ASGI entry point. Nothing imports it; no domain code."""
