"""Who may do what: principals and their capabilities, as genesis grants them (R15)."""

from __future__ import annotations

from collections.abc import Iterable

from validators.genesis import ANY_EVENT, Principal

__all__ = ["Principals"]


class Principals:
    """Principals by name, with their grants in a form that costs one lookup to ask."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        self._keys: dict[str, bytes] = {}
        self._events: dict[tuple[str, str], frozenset[str]] = {}
        """(principal, capability) to the events in which it holds; ANY_EVENT stands for all."""
        for principal in principals:
            self._keys[principal.name] = principal.public_key
            for capability in {grant.capability for grant in principal.grants}:
                self._events[(principal.name, capability)] = frozenset(
                    grant.event for grant in principal.grants if grant.capability == capability
                )

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    def key(self, name: str) -> bytes | None:
        """Public key of a principal, or None."""
        return self._keys.get(name)

    def may(self, name: str, capability: str, event: str) -> bool:
        """Whether `name` holds `capability` in `event`."""
        events = self._events.get((name, capability))
        return events is not None and (event in events or ANY_EVENT in events)
