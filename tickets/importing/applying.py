"""Carries out the confirmed changes of an import: of each the next step, until none is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from dtvn.api.errors import InvalidRequest
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import ImportEntry, Issue, reasons
from tickets.importing.changes import Change
from tickets.importing.holders import Kept, change_holders, forget_holders, remember_holders
from tickets.importing.imported import WrongRow
from tickets.importing.network import entries_made, ticket_rows
from tickets.importing.sending import Order, Sending, is_done, missing_steps
from tickets.importing.until_final import BATCH_SIZE, Answer, NetworkSilent, until_final
from tickets.services.codes import salt_of
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.read import event_row

OTHER_CODES = "was not changed: its guest entered elsewhere, but the ticket of this id has other codes here"


class _Task(msgspec.Struct):
    """A change with the steps that are missing."""

    change: Change
    steps: list[Request]
    refused: bool = False

    @property
    def entries_before(self) -> int:
        """How many entries there are before the next step, which is one."""
        ticket = self.change.ticket
        return (ticket.entries_made if ticket else len(self.change.commands)) - len(self.steps)


class Applying:
    """Carries out changes. `source`: ImportPlan.key, kept with codes and orders. `patience`: seconds without
    a final answer after which it ends. `progress(n)`: whenever n more are carried out or refused. `done`:
    gets key and kind of those that are carried out, part by part, also if it ends."""

    def __init__(
        self,
        order: Order,
        *,
        source: str,
        patience: float,
        progress: Callable[[int], None],
        done: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._order, self._source, self._patience = order, source, patience
        self._progress, self._done = progress, done
        self.issued = 0
        self.existed = 0
        """New tickets that were there, by an earlier import or another caller: left unchanged."""
        self.wrong: list[WrongRow] = []

    def apply(self, changes: Sequence[Change], *, size: int = BATCH_SIZE) -> None:
        """Carry out these, at most `size` of one event at a time. Raises DatabaseError, NetworkSilent and
        Refused."""
        by_event: dict[str, list[Change]] = {}
        for one in changes:
            by_event.setdefault(one.event, []).append(one)
        for event, listed in by_event.items():
            for start in range(0, len(listed), size):
                self._apply_part(event, listed[start : start + size])

    def _apply_part(self, event: str, part: Sequence[Change]) -> None:
        """Holders are stored before their tickets are sent, and deleted, if they are new, of tickets that are
        surely not in the network."""
        kept = remember_holders([one.ticket for one in part if one.ticket is not None], source=self._source)
        self.wrong += kept.erased
        sending, tasks = Sending(self._order, event, self._source), list[_Task]()
        try:
            change_holders(event, part, source=self._source)
            tasks = self._tasks(event, part, kept)
            self._progress(len(part) - sum(bool(task.steps) for task in tasks))
            while asked := {task.steps[0]: task for task in tasks if task.steps}:
                self._take_step(event, asked, sending)
        finally:
            ended = (task.change for task in tasks if not (task.steps or task.refused))
            self._done({one.key: one.kind for one in ended})
            sending.forget_refused()
            forget_holders(event, kept.fresh - {request.ticket for request in sending.possible})

    def _tasks(self, event: str, part: Sequence[Change], kept: Kept) -> list[_Task]:
        """The changes of a part, without those that cannot be sent."""
        salt = salt_of(event, event_row(LEARNER_ALIAS, event))
        erased = {wrong.row for wrong in kept.erased}
        tasks = []
        for one in part:
            if one.ticket is not None and one.row in erased:
                continue
            try:
                steps = one.steps(salt, kept.commitments.get(one.ticket_id, b""))
            except InvalidRequest as error:
                self.wrong.append(WrongRow(one.row, f"{one.ticket_id} cannot be issued: {error}"))
            else:
                tasks.append(_Task(one, steps))
        return tasks

    def _take_step(self, event: str, asked: Mapping[Request, _Task], sending: Sending) -> None:
        """Have the next steps ordered. What is issued goes on from what the platform's copy has of it, since
        a ticket that was there may have any codes and entries."""
        issued: dict[str, tuple[_Task, list[Request]]] = {}
        ask = partial(self._ask, event, asked, sending)
        for request, answer in until_final(ask, list(asked), patience=self._patience):
            task, decision = asked[request], answer.content
            if not is_done(decision):
                verb = "was refused" if isinstance(request.command, Issue) else "was not changed"
                self._refuse(task, f"{verb}: {decision.sentence}")
                continue
            steps, task.steps = task.steps, task.steps[1:]
            if isinstance(request.command, Issue):
                self.issued += decision.code == reasons.OK
                self.existed += decision.code == reasons.TICKET_EXISTS
                if task.steps:
                    issued[request.ticket] = task, steps
                    continue
            self._progress(not task.steps)
        if issued and feed.wait_for(sending.sequence, self._patience) < sending.sequence:
            raise NetworkSilent("the platform's copy of the log lags behind")
        for row in ticket_rows(event, sorted(issued)):
            task, steps = issued[row.ticket]
            missing = missing_steps(steps, row)
            task.steps = missing or []
            if missing is None:
                self._refuse(task, OTHER_CODES)
            else:
                self._progress(not missing)

    def _ask(
        self, event: str, asked: Mapping[Request, _Task], sending: Sending, batch: list[Request]
    ) -> list[Answer]:
        """Have these ordered. An entry in doubt is not sent again if the platform's copy has it by now: a
        ticket for several persons would have one too many."""
        doubtful = [one for one in batch if isinstance(one.command, ImportEntry) and one in sending.possible]
        rows = ticket_rows(event, [one.ticket for one in doubtful])
        made = {row.ticket: entries_made(row) for row in rows}
        there = {one for one in doubtful if made.get(one.ticket, 0) > asked[one].entries_before}
        answers = {one: Answer(200, Decision(one, Result(reasons.OK))) for one in there}
        sent = [one for one in batch if one not in there]
        answers |= zip(sent, sending(sent), strict=True)
        return [answers[one] for one in batch]

    def _refuse(self, task: _Task, why: str) -> None:
        self.wrong.append(WrongRow(task.change.row, f"{task.change.ticket_id} {why}"))
        task.steps, task.refused = [], True
        self._progress(1)
