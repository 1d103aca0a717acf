"""/evidence: proved misbehaviour of members, and the files that convict them offline."""

from __future__ import annotations

from dtvn.api.answers import Answer
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError
from dtvn.api.queries import read_limit, read_number
from dtvn.proof import evidence_json
from validators.models import MemberEvidence
from validators.rest.nodes import utc_text
from validators.rest.paging import page

NUMBER_MAX = 2**63 - 1


def list_evidence(call: Call) -> Answer:
    """List the evidence that this platform has collected, newest first; `limit`, `after` (an id)."""
    limit, rows = read_limit(call.query), MemberEvidence.objects.defer("content")
    total = rows.count()
    if "after" in call.query:
        rows = rows.filter(id__lt=read_number("after", call.query["after"], 0, NUMBER_MAX))
    return page(call, rows, limit, _object, total)


def show_evidence(call: Call, number: int) -> Answer:
    """The file of one piece; `manage.py verify_evidence` and the stand-alone verifier check it."""
    row = MemberEvidence.objects.filter(pk=number).first() if number <= NUMBER_MAX else None
    if row is None:
        raise ApiError(404, "evidence_not_found", f"There is no evidence {number}.")
    headers = {"Content-Disposition": f'attachment; filename="evidence-{number}.json"'}
    file = evidence_json(bytes(row.content))
    return Answer(b'{"success":true,"data":%b}' % file, headers=headers)


def _object(row: MemberEvidence) -> dict[str, object]:
    return {
        "id": row.pk,
        "code": row.code,
        "epoch": row.epoch,
        "member": row.member,
        "name": row.name,
        "place": row.place,
        "reported_by": row.reported_by,
        "collected_at": utc_text(row.collected_at),
    }
