"""What is here: GET /api/v1/, the OpenAPI document, and the page that shows it. None of them needs a key."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from dtvn import __version__
from dtvn.api.answers import Answer, bare, failure
from dtvn.api.errors import ApiError
from validators.rest.http import response_of
from validators.rest.openapi.document import document

KEY = "X-API-Key: KEY, or Authorization: Bearer KEY, or a session of /admin/"


@cache
def text() -> bytes:
    """The document with the same bytes as docs/openapi.json."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


@csrf_exempt
def show_document(request: HttpRequest) -> HttpResponse:
    """This document."""
    return HttpResponse(text(), content_type="application/json") if _reads(request) else _refused()


@csrf_exempt
def show_index(request: HttpRequest) -> HttpResponse:
    """The routes of the API, and where they are described."""
    if not _reads(request):
        return _refused()
    return response_of(_index())


@cache
def _index() -> Answer:
    """Cached: to make the document takes 40 ms of processor."""
    told: dict[str, Any] = {
        "name": "DTVN",
        "version": __version__,
        "documentation": "/api/docs",
        "openapi": "/api/v1/openapi.json",
        "key": KEY,
        "routes": list(document()["paths"]),
    }
    return bare(told)


@require_safe
def show_page(request: HttpRequest) -> HttpResponse:
    """The document as a page on which each call can be tried."""
    return render(request, "api_docs.html")


def _reads(request: HttpRequest) -> bool:
    return request.method in ("GET", "HEAD")


def _refused() -> HttpResponse:
    error = ApiError(405, "method_not_allowed", "Method not allowed.", headers={"Allow": "GET, HEAD"})
    return response_of(failure(error))
