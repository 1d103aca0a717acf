"""A fake gateway whose members give liveness proofs, so that the machine decides about the membership."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from dtvn.gateway import Answered, Result
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import LivenessProof, liveness_bytes
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.versions import NEWEST
from dtvn.protocol.wire import ED25519
from tests.fake_gateway import FakeGateway
from tests.host.support import key_pair


class LivingGateway(FakeGateway):
    """Each member signs with `keys[id]`, by default `key_pair(id)`; with `next_keys[id]` if that key is asked
    for.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.keys: dict[str, str] = {}
        self.next_keys: dict[str, str] = {}
        self.announced: dict[str, LivenessProof] = {}
        """Newest proof by newcomer, as its node announced it to the members."""
        super().__init__(*arguments, **named)

    def word(self, member: str, *, key: str = "", executed: int | None = None) -> LivenessProof:
        """A liveness proof of the given member at the present time."""
        executed = self.acknowledged if executed is None else executed
        now = time.time_ns() // 1_000
        said = liveness_bytes(cluster_id(self.genesis), self.present.epoch, member, executed, now, NEWEST)
        secret = key_pair(key or self.keys.get(member, member))[1]
        return LivenessProof(member, executed, now, ED25519.sign(secret, said), NEWEST)

    def word_file(self, member: str, **named: Any) -> str:
        """The same as a newcomer's host hands it over: base64 of alive.bin."""
        return base64.b64encode(canonical.encode_trimmed(self.word(member, **named))).decode()

    def submit(self, operations: Sequence[Operation], *, wait: float = 9.0) -> Future[tuple[Result, ...]]:
        """See GatewayFace; a new epoch is followed at once."""
        future = super().submit(operations, wait=wait)
        self.present = self.application.membership()
        return future

    def query(
        self, member: int, what: str, arguments: Sequence[str] = (), *, wait: float = 2.0
    ) -> Future[Answered]:
        """See GatewayFace; members that are not down give a liveness proof."""
        if what == "newcomer" and member not in self.down and (known := self.announced.get(arguments[0])):
            return _answered(known, self.present.epoch)
        if what != "alive" or member in self.down:
            return super().query(member, what, arguments, wait=wait)
        name = self.present.members[member].id
        key = self.next_keys.get(name, "") if "next_key" in arguments else ""
        return _answered(self.word(name, key=key), self.present.epoch)


def _answered(word: LivenessProof, epoch: int) -> Future[Answered]:
    told = msgspec.json.encode({"word": canonical.encode_trimmed(word).hex(), "epoch": epoch}).decode()
    future: Future[Answered] = Future()
    future.set_result(Answered(0, "", told))
    return future
