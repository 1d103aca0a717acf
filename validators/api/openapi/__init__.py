"""The REST API in OpenAPI 3.1: routes, methods, scopes and words from the URL conf and the views themselves,
shapes from tables. `make schema` writes docs/openapi.json; a test holds answers against it."""

from validators.api.openapi.document import document
from validators.api.openapi.view import OpenApiView

__all__ = ["OpenApiView", "document"]
