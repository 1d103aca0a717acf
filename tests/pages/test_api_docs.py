"""The page on which each call of the API can be tried: found from the admin, and it may change something."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.test import Client
from py_mini_racer import MiniRacer

from tests.pages.learner import RealLearner

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

SCRIPT = Path(__file__).parents[2] / "static/js/api-docs.js"
PAGE = """
const api = { dataset: { document: "/api/v1/openapi.json", csrf: "of this page" } };
const document = { documentElement: { classList: { toggle: () => {} } }, getElementById: () => api };
const matchMedia = () => ({ matches: false });
let shown;
const window = { SwaggerUIBundle: (made) => { shown = made; } };
window.SwaggerUIBundle.presets = {};
"""


def test_a_tried_call_carries_the_token_of_its_page(admin: Client) -> None:
    engine = MiniRacer()
    engine.eval(PAGE + SCRIPT.read_text(encoding="utf-8"))
    call = json.dumps({"url": "/api/v1/tickets/seed", "headers": {"Accept": "application/json"}})
    sent = json.loads(engine.eval(f"JSON.stringify(shown.requestInterceptor({call}))"))
    assert sent["headers"] == {"Accept": "application/json", "X-CSRFToken": "of this page"}
    answer = admin.get("/api/docs")
    assert re.search(r'data-csrf="\w{64}"', answer.content.decode())
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"], "no other origin gets it"


def test_the_admin_leads_to_the_description_of_the_api(learner: RealLearner, admin: Client) -> None:
    assert 'href="/api/docs"' in admin.get("/admin/").content.decode()
