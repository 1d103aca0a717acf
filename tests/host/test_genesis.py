"""Genesis: the cluster id, and parameters that are refused (PROTOCOL R1, R15, R37)."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.protocol import canonical, genesis
from dtvn.protocol.consensus.config import ConfigError, build, check
from tests.host.support import key_pair, make_genesis
from tests.support.table import table

NO_POINT = sha256(b"0").digest()
"""32 bytes that are no point of the curve."""


def test_row_10_every_field_is_in_the_cluster_id() -> None:
    base = make_genesis(4)
    grant = genesis.Grant("other", "gate")
    changed = [
        replace(base, name="other"),
        replace(base, created_at=base.created_at + 1),
        replace(base, members=base.members[:3]),
        replace(base, members=base.members[::-1]),
        replace(base, principals=()),
        replace(base, principals=(replace(base.principals[0], grants=(grant,)),)),
        replace(base, parameters=replace(base.parameters, drift_bound=1_000_000)),
        replace(base, demo=False),
        replace(base, protocol_version=2),
    ]
    assert len({genesis.cluster_id(value) for value in [base, *changed]}) == 1 + len(changed)


def member(index: int, **fields: Any) -> genesis.Member:
    return replace(make_genesis(4).members[index], **fields)


def bad_values() -> dict[str, tuple[genesis.Genesis, str]]:
    base = make_genesis(4)
    first = base.principals[0]
    return {
        "no member": (replace(base, members=()), "members"),
        "32 members": (make_genesis(32), "members"),
        "a name twice": (replace(base, members=(base.members[0], member(1, id="r0"))), "twice"),
        "an empty name": (replace(base, members=(member(0, id=""),)), "1 to 64"),
        "a key twice": (
            replace(base, members=(base.members[0], member(1, public_key=key_pair("r0")[0]))),
            "share a key",
        ),
        "a member's key for a gateway": (
            replace(base, principals=(replace(first, public_key=key_pair("r0")[0]),)),
            "share a key",
        ),
        "a short key": (replace(base, members=(member(0, public_key=b"k" * 31),)), "32 bytes"),
        "a key that is no point": (
            replace(base, members=(member(0, public_key=NO_POINT),)),
            "not an Ed25519 key",
        ),
        "a host that cannot be dialled": (replace(base, members=(member(0, host="a b"),)), "host: 'a b' is"),
        "principals unsorted": (
            replace(base, principals=(first, genesis.Principal("a", key_pair("a")[0], ()))),
            "sorted",
        ),
        "an unknown capability": (
            replace(base, principals=(replace(first, grants=(genesis.Grant("*", "everything"),)),)),
            "everything",
        ),
        "a name that a rotated key would bear": (
            replace(
                base, principals=(first, replace(first, name=f"{first.name}#1", public_key=key_pair("k")[0]))
            ),
            f"'{first.name}#1' is not 1 to 64",
        ),
        "a ruler of what has no event": (
            replace(base, principals=(replace(first, grants=(genesis.Grant("", "admin"),)),)),
            "'' names no event",
        ),
        "a right that a terminal would hide": (
            replace(base, principals=(replace(first, grants=(genesis.Grant("a\r\x1b[8m", "gate"),)),)),
            r"'a\\r\\x1b\[8m' names no event",
        ),
        "a right in an event that no operation can name": (
            replace(base, principals=(replace(first, grants=(genesis.Grant("e" * 65, "gate"),)),)),
            "names no event",
        ),
        "interval 0": (replace(base, parameters=replace(base.parameters, checkpoint_interval=0)), "interval"),
        "batches that no session may ask for": (
            replace(base, parameters=replace(base.parameters, batch_operations_max=5_001)),
            "batch_operations_max: 5001 is not between 1 and 5000",
        ),
        "checkpoints too rare for a VIEW-CHANGE": (
            replace(base, parameters=replace(base.parameters, checkpoint_interval=3_178)),
            "checkpoint_interval: 3178 is too long for a cluster of 4",
        ),
        "port 0": (replace(base, members=(member(0, port=0),)), "port: 0 of 'r0'"),
        "no drift": (replace(base, parameters=replace(base.parameters, drift_bound=0)), "drift_bound"),
    }


@table("name", sorted(bad_values()), count=20)
def test_an_invalid_genesis_is_refused(name: str) -> None:
    value, words = bad_values()[name]
    with pytest.raises(genesis.GenesisError, match=words):
        genesis.decode(genesis.encode(value))


def test_malformed_bytes_are_a_genesis_error() -> None:
    data = genesis.encode(make_genesis(4))
    for broken in (b"", data[:-1], data + b"\0", b"\xc1", canonical.encode(("no", "genesis"))):
        with pytest.raises(genesis.GenesisError):
            genesis.decode(broken)


@table("n", range(1, 32), count=31)
def test_r20_every_node_can_start_from_an_accepted_genesis(n: int) -> None:
    """The longest checkpoint interval of each size builds; one more is refused before any party joins."""
    value = make_genesis(n)
    longest = genesis.VIEW_CHANGE_BYTES_MAX // genesis.view_change_bytes(n, 3)
    for interval in (1, 10, 16, longest):
        taken = replace(value, parameters=replace(value.parameters, checkpoint_interval=interval))
        assert build(genesis.decode(genesis.encode(taken)), b"", "r0").n == n
    refused = replace(value, parameters=replace(value.parameters, checkpoint_interval=longest + 1))
    with pytest.raises(genesis.GenesisError, match=f"{longest + 1} is too long for a cluster of {n}"):
        genesis.check(refused)


def test_r20_a_window_whose_view_change_exceeds_the_frame_is_refused() -> None:
    value = make_genesis(31)
    config = build(value, genesis.cluster_id(value), None)
    assert config.index is None
    with pytest.raises(ConfigError, match="window"):
        check(type(config)(**{f: getattr(config, f) for f in config.__struct_fields__} | {"window": 4_000}))


def test_a_nonmember_gets_no_configuration() -> None:
    value = make_genesis(4)
    with pytest.raises(ConfigError, match="'r9'"):
        build(value, genesis.cluster_id(value), "r9")
