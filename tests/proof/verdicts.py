"""Verdicts of the three verifiers in one form, without their sentences: facts, or a code and its place.

A proved certificate is told by its facts, a refused file by `refused` (a dtvn.proof.Code) and `place`.
`against` is the contradiction of two certificates, None if both can be true.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dtvn.proof import Proved, compare, decode_certificate, read_chain, unwrap, verify
from dtvn.proof.evidence import convict
from dtvn.protocol import quorum
from tests.needed import lacking
from verifier import dtvn_verify, dtvn_verify_evidence

ROOT = Path(__file__).resolve().parents[2]
NODE = shutil.which("node")
Vector = dict[str, Any]
Verdict = dict[str, Any]


def content(vector: Vector) -> dict[str, bytes]:
    """The files of a vector."""
    return {key: b64decode(vector[key]) for key in ("chain", "certificate", "against") if key in vector}


def refused(call: Callable[[], Verdict]) -> Verdict:
    """The verdict of a call to one of the verifiers in Python."""
    try:
        return call()
    except ValueError as error:  # ProofError or dtvn_verify.Refused
        found: Any = error
        return {"refused": str(found.code), "place": found.place}


# --- DTVN's own -------------------------------------------------------------------------------------


def by_dtvn(vector: Vector) -> Verdict:
    """The verdict on a vector's chain and certificates, each a file or its bare bytes."""
    given = content(vector)

    def judged() -> Verdict:
        chain = read_chain(unwrap("chain", given["chain"]))
        proved = verify(decode_certificate(unwrap("certificate", given["certificate"])), chain)
        told = facts(proved)
        if "against" in given:
            found = compare(proved, verify(decode_certificate(given["against"]), chain))
            told["against"] = found and {
                "code": found.code,
                "place": f"sequence {found.sequence}",
                "convicted": list(found.convicted),
            }
        return told

    return refused(judged)


def facts(proved: Proved) -> Verdict:
    """What a certificate proves."""
    state = proved.ticket_state()
    return {
        "event": proved.event,
        "ticket": proved.ticket,
        "kind": proved.kind,
        "code": proved.code,
        "epoch": proved.epoch,
        "sequence": proved.sequence,
        "index": proved.index,
        "time": proved.timestamp,
        "checkpoint": list(proved.checkpoint) if proved.checkpoint else None,
        "members": proved.members,
        "liars": quorum.liars_words(proved.members, proved.mode),
        "signers": [name for _key, name in proved.signers],
        "offline": proved.ended_offline,
        "state": state and [int(state.state), state.gate, state.device],
        "continues": proved.continued and proved.continued.cluster.hex(),
    }


def evidence_by_dtvn(data: bytes, chain: bytes) -> Verdict:
    """The verdict on a file of evidence."""

    def judged() -> Verdict:
        found = convict(unwrap("evidence", data), read_chain(unwrap("chain", chain)))
        return {"convicted": found.name, "code": found.code, "epoch": found.epoch, "where": found.where}

    return refused(judged)


# --- the stand-alone one ----------------------------------------------------------------------------


def by_one_file(vector: Vector) -> Verdict:
    """The same by verifier/, without its command line."""
    given = content(vector)

    def judged() -> Verdict:
        chain = dtvn_verify.Chain(dtvn_verify.unwrap(given["chain"], "chain"))
        proved = dtvn_verify.Proved(dtvn_verify.unwrap(given["certificate"], "certificate"), chain)
        told = small_facts(proved)
        if "against" in given:
            other = dtvn_verify.Proved(given["against"], chain)
            found = dtvn_verify_evidence.contradiction(proved, other)
            told["against"] = found and dict(zip(("code", "place", "convicted"), found, strict=False))
        return told

    return refused(judged)


def small_facts(proved: Any) -> Verdict:
    """`facts` of a dtvn_verify.Proved."""
    state = proved.ticket_state
    return {
        **{name: getattr(proved, name) for name in ("event", "ticket", "kind", "code", "epoch", "sequence")},
        "index": proved.index,
        "time": proved.time,
        "checkpoint": list(proved.checkpoint) if proved.checkpoint else None,
        "members": len(proved.members),
        "liars": proved.chain.liars(len(proved.members)),
        "signers": [name for name, _key in proved.signers],
        "offline": proved.continued,
        "state": state and [state[2], state[11], state[12]],
        "continues": proved.chain.continues[0][0].hex() if proved.chain.continues else None,
    }


def evidence_by_two_files(data: bytes, chain: bytes) -> Verdict:
    """The same by verifier/, which reads evidence with its second file."""

    def judged() -> Verdict:
        trusted = dtvn_verify.Chain(dtvn_verify.unwrap(chain, "chain"))
        found = dtvn_verify_evidence.convicted(dtvn_verify.unwrap(data, "evidence"), trusted)
        return dict(zip(("convicted", "code", "epoch", "where"), found, strict=True))

    return refused(judged)


# --- the browser's ----------------------------------------------------------------------------------


def by_browser(vectors: list[Vector], *flags: str) -> list[Verdict]:
    """The same by static/verifier under node."""
    if NODE is None:
        lacking("no node on this machine: apt-get install nodejs")
    done = subprocess.run(
        [NODE, ROOT / "tests/proof/check_vectors.cjs", *flags],
        input=json.dumps({"vectors": vectors}),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: list[Verdict] = json.loads(done.stdout)
    return found
