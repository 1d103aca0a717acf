"""Files of grants that members sign one after the other, told whole: what each holds, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl import bindings

from dtvn.ceremony.granting import (
    FILE_BYTES_MAX,
    FORMAT,
    GrantError,
    GrantFile,
    command,
    merged,
    missing,
    read_grant,
    signed,
    write_grant,
)
from dtvn.machine import GrantStatement
from dtvn.net import encode_seed
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.genesis import Grant
from tests.gateway.wording import Wording
from tests.golden import Compare, Telling
from tests.host.support import make_genesis

GOLDEN = Path(__file__).parent / "golden"
THREE = founding(make_genesis(3))
SAID = GrantStatement(0, "seller", bytes(32), (Grant("*", "issue"),), 9)
FILE = GrantFile(FORMAT, b"c" * 32, SAID)


class Story(Telling):
    """Files in one folder, and who signs them."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.words = Wording()

    def tries(self, what: str, do: Callable[[], Any]) -> None:
        try:
            told = self.words(do())
        except GrantError as error:
            told = f"{type(error).__name__}: {error}"
        self.say(f"{what}: {told.replace(str(self.root), 'FOLDER')}")

    def key(self, name: str) -> Path:
        path = self.root / f"{name}.key"
        path.write_bytes(encode_seed(sha256(name.encode()).digest()))
        path.chmod(0o600)
        return path

    def holds(self, what: str, file: GrantFile) -> None:
        """The signatures in a file, by their members, and who must still sign."""
        names = {member.public_key: member.id for member in THREE.members}
        signers = [names.get(key, "a stranger") for key, _signature in file.signatures]
        self.say(f"{what}: signed by {signers}, missing {missing(file, THREE)}")


def test_grant_files(golden: Compare, tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.chapter("Signed one after the other, and merged")
    one, two, three, strange = (signed(FILE, story.key(name)) for name in ("r0", "r1", "r2", "stranger"))
    story.holds("nobody", FILE)
    story.holds("r0", one)
    story.holds("r0 again", signed(one, story.key("r0")))
    story.holds("r0, then r2", signed(one, story.key("r2")))
    all_three = merged(one, [three, strange, two])
    story.holds("all", all_three)
    story.say(f"ascending {list(all_three.signatures) == sorted(all_three.signatures)}")
    other = msgspec.structs.replace(SAID, until=10)
    for name, changes in (("statement", {"statement": other}), ("cluster", {"cluster": b"d" * 32})):
        story.tries(f"another {name}", lambda c=changes: merged(one, [msgspec.structs.replace(two, **c)]))  # type: ignore[misc]
    story.chapter("The command")
    for name, file in (("r0", one), ("all but r1", merged(one, [three]))):
        story.tries(name, lambda each=file: command(each, THREE))  # type: ignore[misc]
    ordered = command(all_three, THREE)
    order = [dict(all_three.signatures)[member.public_key] for member in THREE.members]
    story.say(f"all: {ordered.statement == SAID}, in the members' order {list(ordered.signatures) == order}")
    story.tries("the next epoch", lambda: command(all_three, msgspec.structs.replace(THREE, epoch=1)))
    story.chapter("Files")
    path = tmp_path / "seller.grant"
    story.tries("read before it is there", lambda: read_grant(path))
    story.tries("written", lambda: write_grant(path, one, replace=False))
    story.tries("written again", lambda: write_grant(path, all_three, replace=False))
    story.say(f"as it was {read_grant(path) == one}")
    story.tries("replaced", lambda: write_grant(path, all_three, replace=True))
    story.say(f"replaced {read_grant(path) == all_three}")
    story.tries("no folder", lambda: write_grant(tmp_path / "none" / "x", one, replace=False))
    for name, content in _odd_files(one):
        path.write_bytes(content)
        story.tries(name, lambda: read_grant(path))
    golden(GOLDEN / "grant-files.txt", story.text)


def _odd_files(one: GrantFile) -> list[tuple[str, bytes]]:
    good = canonical.encode(one)
    (key, signature), *_others = one.signatures
    forged = signature[:-1] + bytes((signature[-1] ^ 1,))
    public, _secret = bindings.crypto_sign_seed_keypair(bytes(32))
    replaced = msgspec.structs.replace
    odd = (
        ("another format", replaced(one, format="dtvn-grant-2")),
        ("another statement", replaced(one, statement=replaced(SAID, epoch=1))),
        ("another cluster", replaced(one, cluster=bytes(32))),
        ("a forged signature", replaced(one, signatures=((key, forged),))),
        ("a good and a forged one", replaced(one, signatures=(*one.signatures, (public, signature)))),
    )
    return [
        ("empty", b""),
        ("noise", b"noise"),
        ("cut", good[:-1]),
        ("more bytes", good + b"\x00"),
        ("too large", good + bytes(FILE_BYTES_MAX)),
        *((name, canonical.encode(file)) for name, file in odd),
    ]


@pytest.mark.parametrize("more", [0, 1])
def test_a_grant_file_has_at_most_so_many_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    path = tmp_path / "seller.grant"
    content = canonical.encode(FILE)
    path.write_bytes(content)
    monkeypatch.setattr("dtvn.ceremony.granting.FILE_BYTES_MAX", len(content) - more)
    if not more:
        assert read_grant(path) == FILE
        return
    with pytest.raises(GrantError, match=r"is not a grant to sign\.$"):
        read_grant(path)
