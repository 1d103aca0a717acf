"""GET /api/v1/openapi.json."""

from __future__ import annotations

from functools import cache

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from validators.rest.http import ApiView
from validators.rest.openapi.document import document

__all__ = ["OpenApiView", "text"]


@cache
def text() -> bytes:
    """The document with the same bytes as docs/openapi.json."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


class OpenApiView(ApiView):
    """The description of this API."""

    def get(self, http: Request) -> HttpResponse:
        """This document."""
        return HttpResponse(text(), content_type="application/json")
