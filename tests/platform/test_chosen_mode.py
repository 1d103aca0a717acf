"""`make up CONSENSUS=raft`: the first start founds such a cluster, later ones refuse another mode (R44)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError, load_genesis
from dtvn.protocol import genesis as g
from dtvn.protocol.quorum import Mode, fault_tolerance_sentence
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.processes import preparation
from validators.processes.founding import found_cluster
from validators.services import network
from validators.services.mode import cluster_mode

LABEL = "crash-only: a lying member is not tolerated"


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Iterator[DataFolder]:
    settings.DATA = tmp_path / "data"
    made = DataFolder(settings.DATA)
    made.create()
    yield made
    if network._own is not None:  # a page asked the cluster
        network._own.close()


def mode_of(folder: DataFolder) -> Mode:
    return g.mode(load_genesis(ClusterFolder(folder.root).genesis))


def test_r44_the_first_start_founds_what_is_asked_for_and_says_it(folder: DataFolder) -> None:
    assert cluster_mode() is Mode.PBFT, "there is no cluster yet"
    founded, remark = preparation.ensure_cluster(folder, 5, Mode.RAFT)
    assert g.mode(founded) is Mode.RAFT
    assert remark == fault_tolerance_sentence(5, Mode.RAFT)
    assert remark.endswith(f"({LABEL})")
    assert cluster_mode() is Mode.RAFT


@pytest.mark.parametrize(("asked", "found"), [(None, Mode.PBFT), (Mode.PBFT, Mode.PBFT)])
def test_r44_pbft_is_the_default_and_needs_no_remark(
    folder: DataFolder, asked: Mode | None, found: Mode
) -> None:
    assert preparation.ensure_cluster(folder, 3, asked)[1] == ""
    assert mode_of(folder) is found


@pytest.mark.parametrize(("there", "asked"), [(Mode.RAFT, Mode.PBFT), (Mode.PBFT, Mode.RAFT)])
def test_r44_a_network_of_another_mode_is_refused_not_kept_in_silence(
    folder: DataFolder, there: Mode, asked: Mode
) -> None:
    preparation.ensure_cluster(folder, 3, there)
    with pytest.raises(StartError, match=f"agree by {there}.*CONSENSUS={asked} is asked for: leave it out"):
        preparation.ensure_cluster(folder, None, asked)
    assert g.mode(preparation.ensure_cluster(folder, None)[0]) is there
    assert g.mode(preparation.ensure_cluster(folder, None, there)[0]) is there


@pytest.mark.django_db
def test_r44_a_cluster_of_another_size_agrees_as_the_one_before(folder: DataFolder) -> None:
    """POST /cluster/start with another number of nodes sets the cluster aside and founds another one."""
    found_cluster(folder, ["node0", "node1", "node2"], "127.0.0.1:8080", Mode.RAFT)
    found_cluster(folder, ["node0"], "127.0.0.1:8080")
    assert mode_of(folder) is Mode.RAFT


@pytest.mark.parametrize("word", ["paxos", "Raft", "pbft,raft"])
def test_r44_an_unknown_word_is_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("CONSENSUS", word)
    with pytest.raises(ImproperlyConfigured, match=f"^CONSENSUS={word} is none of pbft, raft$"):
        environment.consensus()


def test_r44_the_variable_and_the_flag_choose_a_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENSUS", "raft")
    assert environment.consensus() is Mode.RAFT
    assert environment.consensus("pbft") is Mode.PBFT
    monkeypatch.setenv("CONSENSUS", "")
    assert environment.consensus() is None


@pytest.mark.django_db(databases=["default", "learner"])
@pytest.mark.parametrize(
    ("mode", "view", "owner"), [(Mode.PBFT, "View", "primary"), (Mode.RAFT, "Term", "leader")]
)
def test_r44_pages_use_the_words_of_the_mode(
    folder: DataFolder, admin_client: Client, mode: Mode, view: str, owner: str
) -> None:
    preparation.ensure_cluster(folder, 5, mode)
    for page in ("/", "/dashboard/nodes"):
        text = admin_client.get(page).content.decode()
        assert re.findall(r">(View|Term)</th>", text) == [view] * 2
        assert f'data-owner="{owner}" data-view="{view}"' in text
    assert f"</svg>{owner}</li>" in admin_client.get("/dashboard/network").content.decode(), "the legend"
