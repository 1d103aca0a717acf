"""A collector that writes down all that it sends and says, with members that the story makes answer."""

from __future__ import annotations

from hashlib import sha256
from itertools import groupby
from typing import Any

from dtvn.gateway import Actions, Completed
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import decode_envelope
from tests.gateway.support import MILLISECOND, SECOND, START, Desk, Executed, operation

DATED = START // 1_000
RESULTS_SHOWN = 8
"""Most different results of a call that are told one by one."""


def of_operation(each: m.Operation) -> str:
    """Kind, ticket, nonce and how many microseconds after START it stays valid."""
    nonce = each.nonce.hex() if each.kind == "open_session" else each.nonce.decode()
    valid = each.valid_until - DATED if each.valid_until else "undated"
    return f"{each.kind} {each.ticket or '-'}{f' nonce {nonce}' if nonce else ''} until {valid}"


def of_frame(frame: bytes) -> str:
    """A sent frame in words."""
    message = decode_envelope(frame)[1]
    if isinstance(message, m.Bundle):
        named = [of_operation(each) for each in message.operations]
        if len(named) > 3:
            named[2:-1] = [f"{len(named) - 3} more"]
        head = f"epoch {message.epoch} {message.principal} {message.session} {message.number}"
        return f"bundle {head} done {message.done_below}: {'; '.join(named)}"
    assert isinstance(message, m.Query)
    return f"query {message.number} {message.what} {list(message.arguments)}"


def of_completed(done: Completed) -> list[str]:
    """Each result of a call; equal neighbours are told once."""
    shown = []
    results = [
        f"{r.code} {r.state.decode()!r} at {r.sequence}.{r.index} {r.timestamp and r.timestamp - DATED}"
        for r in done.results
    ]
    for each, same in groupby(results):
        count = len(list(same))
        shown.append(f"  call {done.call}: {each}" + (f" times {count}" if count > 1 else ""))
    if len(shown) > RESULTS_SHOWN:
        digest = sha256("\n".join(shown).encode()).hexdigest()[:12]
        shown[3:-2] = [f"  call {done.call}: {len(shown) - 5} more, {digest} in all"]
    return shown


class TellingDesk(Desk):
    """A Desk that tells each of its steps."""

    def __init__(self, title: str, count: int = 4, mode: Mode = Mode.PBFT, **more: Any) -> None:
        self.lines = [f"# {title}: {count} members, {mode.value}"]
        self.flying: list[bytes] = []
        """Bundles that were sent, the oldest first."""
        super().__init__(count, mode=mode, **{"session": False} | more)

    def chapter(self, title: str) -> None:
        self.lines += ["", f"## {title}"]

    def step(self, line: str) -> None:
        """A line about what the test does, with the time since the beginning in milliseconds."""
        self.lines.append(f"{self.elapsed / MILLISECOND:g} ms {line}")

    def settle(self) -> Actions:
        actions = self.collector.take(self.now)
        sent: dict[bytes, list[int]] = {}
        for to, frame in actions.send:
            sent.setdefault(frame, []).append(to)
            if frame[1] == m.KIND_OF[m.Bundle] and frame not in self.flying:
                self.flying.append(frame)
        self.lines += [f"  to {to}: {of_frame(frame)}" for frame, to in sent.items()]
        for done in actions.completed:
            self.completed[done.call] = done
            self.lines += of_completed(done)
        self.lines += [f"  answered {a.question} {a.code!r} {a.text!r}" for a in actions.answered]
        self.lines += [f"  judged by {member}: {body.hex()[:16]}" for member, body in actions.judged]
        self.answered += actions.answered
        self.sent += [(to, frame) for to, frame in actions.send if frame[1] == m.KIND_OF[m.Bundle]]
        return actions

    def standing(self) -> None:
        """All that the collector can be asked."""
        collector = self.collector
        due = collector.deadline() - SECOND
        self.lines.append(
            f"  stands: primary {collector.primary()} refused {collector.refused()} acknowledged "
            f"{collector.acknowledged} flies {collector.flies()} due {due / MILLISECOND:g} ms "
            f"log {collector.log_clock.newest and collector.log_clock.newest - DATED}"
        )
        for member, status in enumerate(collector.questions.statuses):
            heard = status.heard_at and (status.heard_at - SECOND) / MILLISECOND
            self.lines.append(
                f"    {member}: view {status.view} sequence {status.sequence} heard {heard} answered "
                f"{status.answered} missed {status.missed} trip {status.round_trip / MILLISECOND:g} "
                f"{status.fields}"
            )

    def call(self, *operations: m.Operation, wait: int = 9 * SECOND) -> int:
        self.step(f"submit {', '.join(map(of_operation, operations[:3]))} ({len(operations)})")
        number = self.submit(*operations, wait=wait)
        self.lines.append(f"  is call {number}")
        return number

    def wait(self, milliseconds: float) -> None:
        self.step(f"{milliseconds:g} ms go by")
        self.pass_time(round(milliseconds * MILLISECOND))

    def connect(self, *members: int) -> None:
        self.step(f"connected {list(members)}")
        self.collector.connected(frozenset(members), self.now)
        self.settle()

    def order(self, *frames: bytes) -> list[Executed]:
        done = self.members.execute(*frames)
        self.step(f"ordered {[(item.entry.sequence, item.first_index) for item in done]}")
        return done

    def hear(self, member: int, what: str, frame: bytes) -> None:
        self.step(f"{member} says {what}")
        self.receive(member, frame)

    def honest(self, *frames: bytes, members: tuple[int, ...] | None = None) -> None:
        """These are ordered, and these members answer."""
        for item in self.order(*frames):
            for member in range(self.members.count) if members is None else members:
                self.hear(member, f"reply to {item.entry.sequence}", self.members.reply(member, item))

    def opened(self) -> None:
        """A session is there, and nothing in flight."""
        self.call(operation("T-first"))
        self.honest(self.flying[-1])
        self.honest(self.flying[-1])
