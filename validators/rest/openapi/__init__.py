"""The REST API in OpenAPI 3.1: routes, methods, scopes and summaries come from the URL conf and the handlers,
shapes of bodies from their Structs, shapes of answers from tables. `make schema` writes docs/openapi.json; a
test checks answers against it."""

from validators.rest.openapi.document import document
from validators.rest.openapi.view import show_document, show_index, show_page

__all__ = ["document", "show_document", "show_index", "show_page"]
