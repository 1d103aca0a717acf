"""Messages of the five steps: the next command, and the wrong file or folder (R11)."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError

from dtvn.proof import certificate_json
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus.effects import StateRecord
from tests.recovery.steps import Steps


def test_each_step_ends_with_the_next_one(steps: Steps, tmp_path: Path) -> None:
    def ends(said: str, *parts: str) -> None:
        last = said.rstrip().splitlines()[-1]
        assert last.startswith("Next: "), said
        assert [part for part in parts if part not in last] == [], last

    state = steps.run("state", "--vouch", "--out", steps.file("r0.state"), node="r0")
    ends(state, "keep the node stopped", "all 4 members (r0, r1, r2, r3)", "2 of them with --vouch")
    ends(state, "genesis recover plan", steps.file("r0.state"))
    plan = steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    ends(
        plan, "genesis recover sign", "all members", "first r0, r1, r3", "then r2 with the files of 2 of them"
    )
    out = steps.file("r0.signed")
    first = steps.run("sign", steps.file("cup.plan"), "--out", out, node="r0")
    ends(first, f"hand {out} to r2, which cannot execute the plan", "genesis recover seal", "all 4")
    steps.sign("r1")
    steps.sign("r3")
    late = [steps.file(f"{name}.signed") for name in ("r0", "r1")]
    out = steps.file("r2.signed")
    ends(steps.run("sign", steps.file("cup.plan"), *late, "--out", out, node="r2"), "genesis recover seal")
    signed = [steps.file(f"{name}.signed") for name in steps.names]
    sealed = steps.run("seal", steps.file("cup.plan"), *signed, "--out", steps.file("cup.sealed"))
    ends(sealed, f"hand {steps.file('cup.sealed')} to all members", "genesis recover install", "without --id")
    ends(steps.install("r0"), "manage.py validator", "-id r0")
    ends(steps.run("install", steps.file("cup.sealed")), "start")


def test_a_wrong_file_is_reported_with_its_real_kind(steps: Steps) -> None:
    files = steps.states("r0", "r1")
    steps.run("plan", *files, "--out", steps.file("cup.plan"))
    plan, out = steps.file("cup.plan"), ("--out", steps.file("x"))
    made = {"empty": b"", "noise": b"noise", "cut": Path(plan).read_bytes()[:-9]}
    made |= {
        "genesis": steps.data.genesis.read_bytes(),
        "key": steps.data.node("r0").key.read_bytes() + b"\n",
    }
    made |= {"certificate": certificate_json(b"\x90"), "sealed": b"\x93\xb6dtvn-recovery-sealed-1\x90\xa0"}
    for name, content in made.items():
        Path(steps.file(name)).write_bytes(content)
    for step, words, why in (
        (
            "sign",
            [files[0]],
            "r0.state is a member's statement; wanted is a plan, which `genesis recover plan`",
        ),
        (
            "sign",
            [plan, plan],
            "cup.plan is a plan; wanted is a member's signature, which .*recover sign` wri",
        ),
        ("plan", [plan], "cup.plan is a plan; wanted is a member's statement, which .*recover state` writes"),
        ("seal", [plan, files[0]], "r0.state is a member's statement; wanted is a member's signature"),
        ("install", [plan], "cup.plan is a plan; wanted is a sealed recovery, which .*recover seal` writes"),
        ("sign", [steps.file("sealed")], "sealed is a sealed recovery; wanted is a plan"),
        ("sign", [steps.file("empty")], "empty is empty; wanted is a plan"),
        ("sign", [steps.file("noise")], "noise is of no kind that is known here; wanted is a plan"),
        ("sign", [steps.file("genesis")], "genesis is a genesis; wanted is a plan"),
        ("sign", [steps.file("certificate")], "certificate is a certificate; wanted is a plan"),
        ("sign", [steps.file("key")], "key is a secret key, which never leaves its host; wanted is a plan"),
        ("sign", [steps.file("cut")], r"cut is a plan, but damaged \(.*\)"),
        ("sign", [str(steps.root)], "cannot be read: Is a directory"),
        ("plan", [*files, files[1]], "r1 told its state twice"),
    ):
        with pytest.raises(CommandError, match=why) as caught:
            steps.run(step, *words, *(out if step != "install" else ()), node="r0" if step == "sign" else "")
        assert caught.value.returncode == 1
        assert "\n" not in str(caught.value)


def test_a_wrong_data_folder_is_reported_by_its_path(sealed: Steps) -> None:
    """As where --data-dir was forgotten and ./data is another folder, or none."""
    whole = sealed.data.root
    for folder, node, why in (
        ("nowhere", "r0", "nowhere holds no cluster: give its data folder .--data-dir"),
        ("nowhere", "", "nowhere holds no cluster: give its data folder .--data-dir"),
        ("data", "r9", "data holds no node r9, but r0, r1, r2, r3"),
        ("data", "../r0", "is not a valid node name"),
    ):
        sealed.data.root = whole.parent / folder
        with pytest.raises(CommandError, match=why):
            sealed.run("install", sealed.file("cup.sealed"), node=node)
        assert not (whole.parent / "nowhere").exists()
    assert not sealed.data.epoch_changes.exists(), "nobody was told anything"


def test_r11_an_unsealed_membership_change_leads_to_a_new_cluster(steps: Steps) -> None:
    with steps.ledger("r0") as ledger:
        ledger.append([StateRecord(epoch_change_proof.record_name(0), b"a change that was executed")])
    with pytest.raises(
        CommandError, match=r"change of the members that is not sealed.*genesis continue --help"
    ):
        steps.run("state", "--vouch", "--out", steps.file("r0.state"), node="r0")
