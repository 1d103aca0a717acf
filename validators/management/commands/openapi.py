"""`manage.py openapi`: the REST API as an OpenAPI document, for docs/openapi.json (`make schema`)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Print the REST API as an OpenAPI 3.1 document."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the document."""
        from validators.rest.openapi.view import text

        self.stdout.write(text().decode(), ending="")
