"""A person in a browser without scripts, who tells each page as plain text to a story."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

from tests.api.telling import Story, laid_out
from tests.golden import route_of
from tests.pages.page_text import FRAME, page_text

SALTED = re.compile(r"salt: \S+ hash: \S+")


class Visitor:
    """Visits pages."""

    def __init__(self, story: Story, client: Client, who: str = "") -> None:
        self.client = client
        self._story = story
        self._who = f" ({who})" if who else ""

    def get(self, address: str, **headers: str) -> str:
        """Tells the page, and returns it."""
        return self._tell(f"GET {address}", self.client.get(address, headers=headers))

    def post(self, address: str, sent: dict[str, Any] | None = None, **headers: str) -> str:
        """Sends a form, and tells the answer."""
        fields = " ".join(f"{name}={value}" for name, value in (sent or {}).items())
        answer = self.client.post(address, sent or {}, headers=headers)
        return self._tell(f"POST {address} {fields}".rstrip(), answer)

    def act(self, address: str, action: str, *numbers: object) -> str:
        """Runs an action of a list, and confirms it with what was told if it asks."""
        sent = {"action": action, "_selected_action": [str(number) for number in numbers]}
        answer = self.client.post(address, sent)
        told = self._tell(f"POST {address} {action} {' '.join(map(str, numbers))}", answer)
        context = getattr(answer, "context", None) or {}
        if "consequence" in context:
            answer = self.client.post(address, sent | {"confirmed": "yes", "told": context["consequence"]})
            told = self._tell(f"POST {address} {action}, confirmed", answer)
        if answer.status_code == 302:
            told = self.get(answer.headers["Location"])
        return told

    def _tell(self, asked: str, answer: Any) -> str:
        story = self._story
        place = answer.headers.get("Location", "")
        kind = answer.headers.get("Content-Type", "")
        story.say(f"{asked}{self._who}")
        story.say(f"  {answer.status_code} {place or kind.removesuffix('; charset=utf-8')}".rstrip())
        text: str = answer.content.decode()
        if kind.startswith("text/html") and text:
            lines = [SALTED.sub("salt and hash", line) for line in page_text(text).splitlines()]
            lines = [line for line in lines if not line.endswith(FRAME)]
        elif kind == "application/json":
            lines = laid_out(answer.json(), 0).splitlines()
        else:
            lines = text.splitlines()
        name = route_of(asked.split()[1])
        if not kind.startswith("text/html"):
            name = f"{asked.partition(' ')[0]} {name} {answer.status_code}"
        story.told(story.differences.of(name, [story.named(line) for line in lines]))
        return text
