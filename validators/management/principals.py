"""`manage.py principals list | add | rotate | limit | revoke`: the principals that may sign requests
(R15)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from dtvn.machine.fields import OVERLAP_MAX
from dtvn.net import KeyFileError
from dtvn.waiting import saying
from validators.management.teaching import ACTOR
from validators.services import network, principals
from validators.services.errors import ServiceError
from validators.services.principals import Changed, ShownPrincipal

OVERLAP_MAX = OVERLAP_MAX // 1_000_000
"""Seconds."""


class Verbs:
    """The command's verbs, after its parser."""

    def __init__(self, stdout: OutputWrapper) -> None:
        self.stdout = stdout

    def run(self, options: dict[str, Any]) -> None:
        """Dispatch; raises CommandError with one sentence."""
        try:
            with saying("the cluster to answer"):
                getattr(self, "_" + options["verb"])(options)
        except (OSError, ValueError, KeyFileError, ServiceError) as error:
            raise CommandError(str(error)) from error
        finally:
            network.close()

    def _list(self, options: dict[str, Any]) -> None:
        for each in principals.list_principals():
            self._show(each)

    def _add(self, options: dict[str, Any]) -> None:
        key = principals.read_key(options["peer_id"])
        grants = principals.read_grants(options["grant"])
        self._tell(principals.add_principal(options["name"], key, grants, actor=ACTOR))

    def _rotate(self, options: dict[str, Any]) -> None:
        name, overlap = options["name"], options["overlap"]
        if not 0 <= (overlap or 0.0) <= OVERLAP_MAX:  # rejects NaN too
            raise CommandError(f"--overlap must be from 0 to {OVERLAP_MAX} seconds")
        if principals.is_own(name) and not options["peer_id"]:
            longer = principals.OWN_OVERLAP if overlap is None else overlap
            self._tell(principals.rotate_own(overlap=longer, actor=ACTOR))
            return
        key = principals.read_key(options["peer_id"])
        self._tell(principals.rotate_principal(name, key, overlap=overlap or 0.0, actor=ACTOR))

    def _limit(self, options: dict[str, Any]) -> None:
        grants = principals.read_grants(options["grant"])
        self._tell(principals.limit_principal(options["name"], grants, actor=ACTOR))

    def _revoke(self, options: dict[str, Any]) -> None:
        self._tell(principals.revoke_principal(options["name"], actor=ACTOR))

    def _tell(self, changed: Changed) -> None:
        self._show(changed.principal)
        self.stdout.write(f"decided at sequence {changed.sequence}")

    def _show(self, each: ShownPrincipal) -> None:
        grants = " ".join(f"{grant.event}:{grant.capability}" for grant in each.grants) or "follows the log"
        self.stdout.write(f"{each.name}  signs as {each.wire or 'none'}  {each.peer_id}  {grants}")
