"""Tickets: the Django app with their REST API, services, admin and file import."""
