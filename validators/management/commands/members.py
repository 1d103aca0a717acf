"""`manage.py members show | prepare | enlist | add | remove | replace | rotate | commit`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from tickets.machine import REASONS
from validators import canonical, quorum
from validators.ceremony import open_genesis
from validators.consensus.membership import Alive, Change
from validators.gateway.client import Gateway
from validators.gateway.membership import ChangeRefused, enlist, forecast, gather_words, reconfigure
from validators.genesis import GenesisError, Member
from validators.link import KeyFileError, ensure_seed, public_key_of, read_seed, write_private
from validators.management.teaching import TeachingCommand
from validators.node.keys import peer_id, public_key_of_peer_id
from validators.node.layout import ClusterFolder

__all__ = ["Command"]

TEACH = """\
Change who the members are. One change at a time; a newcomer follows first, then it votes.

  a new member
    on its host        manage.py members prepare --data-dir ./data --id n5 --genesis cup.genesis
                       prints its peer id; the key stays there
    an administrator   manage.py members enlist n5 PEER-ID
    on its host        manage.py validator -data-dir ./data -id n5        it follows, and says that it lives
    an administrator   manage.py members add n5 PEER-ID --host HOST --port PORT --word alive.bin
                       alive.bin: DATA/nodes/n5/identity/alive.bin on its host, not older than 30 s
  one that goes        manage.py members remove n2
  one for another      manage.py members replace n2 n5 PEER-ID --host HOST --port PORT --word alive.bin
  a new key            on the host of n2   manage.py members next-key --data-dir ./data --id n2
                       an administrator    manage.py members rotate n2 PEER-ID

Each change first shows what the cluster survives before and after it, and asks; --yes answers.
"""


class Command(TeachingCommand):
    """Exit status: 0 done, 1 refused or impossible (one sentence), 2 wrong usage."""

    help = "Show and change the members of the cluster."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """A verb each."""
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=ArgumentParser)
        for name, text in VERBS.items():
            verb = verbs.add_parser(name, help=text)
            verb.add_argument("--data-dir", type=Path, default=Path("./data"), help="default ./data")
            if name in ("prepare", "next-key"):
                verb.add_argument("--id", required=True, help="the node")
            if name == "prepare":
                verb.add_argument("--genesis", type=Path, required=True, help="the file that all sealed")
            if name in ("remove", "replace", "rotate"):
                verb.add_argument("leaves", metavar="ID", help="the member")
            if name in ("enlist", "add", "replace"):
                verb.add_argument("newcomer", metavar="NEW-ID")
            if name in ("enlist", "add", "replace", "rotate"):
                verb.add_argument("peer_id", metavar="PEER-ID", help="as its host printed it")
            if name in ("add", "replace"):
                verb.add_argument("--host", required=True)
                verb.add_argument("--port", type=int, required=True)
                verb.add_argument("--word", type=Path, required=True, help="the newcomer's word of life")
            if name in ("add", "remove", "replace", "rotate"):
                verb.add_argument("--yes", action="store_true", help="do not ask")
            if name == "remove":
                verb.add_argument("--allow-small", action="store_true", help="even below four members")

    def handle(self, *args: Any, **options: Any) -> None:
        """Dispatch."""
        try:
            getattr(self, "_" + options["verb"].replace("-", "_"))(options)
        except (OSError, ValueError, KeyFileError, GenesisError) as error:
            raise CommandError(str(error)) from error

    # --- on a node's own host ------------------------------------------------------------------------

    def _prepare(self, options: dict[str, Any]) -> None:
        data = options["genesis"].read_bytes()
        open_genesis(data)
        node = ClusterFolder(options["data_dir"]).node(options["id"])
        node.create()
        key = public_key_of(ensure_seed(node.key))
        if not node.genesis.exists():
            write_private(node.genesis, data)
        self.stdout.write(peer_id(key))

    def _next_key(self, options: dict[str, Any]) -> None:
        node = ClusterFolder(options["data_dir"]).node(options["id"])
        read_seed(node.key)
        self.stdout.write(peer_id(public_key_of(ensure_seed(node.next_key))))

    # --- at an administrator's gateway ---------------------------------------------------------------

    def _show(self, options: dict[str, Any]) -> None:
        with self._gateway(options) as gateway:
            gather_words(gateway, wait=3.0)  # long enough to hear of later epochs
            now = gateway.present
            self.stdout.write(f"epoch {now.epoch}, after sequence {now.after}")
            self.stdout.write(quorum.describe(len(now.members)))
            for member in now.members:
                self.stdout.write(f"{member.id}  {member.host}:{member.port}  {peer_id(member.public_key)}")

    def _enlist(self, options: dict[str, Any]) -> None:
        with self._gateway(options) as gateway:
            code = enlist(gateway, options["newcomer"], public_key_of_peer_id(options["peer_id"]))
        if code != "ok":
            raise CommandError(REASONS[code].sentence if code in REASONS else code)
        self.stdout.write(f"{options['newcomer']} may follow now.")

    def _add(self, options: dict[str, Any]) -> None:
        self._change(options, joins=(_newcomer(options),), word=options["word"])

    def _replace(self, options: dict[str, Any]) -> None:
        self._change(options, leaves=options["leaves"], joins=(_newcomer(options),), word=options["word"])

    def _remove(self, options: dict[str, Any]) -> None:
        self._change(options, leaves=options["leaves"], allow_small=options["allow_small"])

    def _rotate(self, options: dict[str, Any]) -> None:
        self._change(options, leaves=options["leaves"], key=public_key_of_peer_id(options["peer_id"]))

    def _change(
        self,
        options: dict[str, Any],
        *,
        leaves: str = "",
        joins: tuple[Member, ...] = (),
        key: bytes = b"",
        word: Path | None = None,
        allow_small: bool = False,
    ) -> None:
        with self._gateway(options) as gateway:
            words = gather_words(gateway, without="" if key else leaves)
            now = gateway.present
            if key:
                place = now.find(leaves)
                if place is None:
                    raise CommandError(REASONS["member_not_found"].sentence)
                same = now.members[place]
                joins = (Member(id=same.id, public_key=key, host=same.host, port=same.port),)
            if word is not None:
                words.append(canonical.decode(Alive, word.read_bytes()))
            change = Change(
                epoch=now.epoch, leaves=leaves, joins=joins, allow_small=allow_small, alive=tuple(words)
            )
            before, after = forecast(now, change)
            self.stdout.write(f"now    {before}\nafter  {after}")
            if not options["yes"] and input("Change it? [y/N] ").strip().lower() != "y":
                raise CommandError("nothing was changed")
            try:
                following = reconfigure(gateway, change)
            except ChangeRefused as refused:
                known = REASONS.get(refused.code)
                raise CommandError(refused.code if known is None else known.sentence) from refused
            self.stdout.write(f"epoch {following.epoch} has begun, after sequence {following.after}.")

    def _gateway(self, options: dict[str, Any]) -> Gateway:
        folder = ClusterFolder(options["data_dir"])
        return Gateway.open(folder.genesis, folder.gateway_key)


VERBS = {
    "show": "the members, and what they survive",
    "prepare": "on a newcomer's host: make its key",
    "enlist": "let a newcomer follow",
    "add": "make a follower a member",
    "remove": "end a membership",
    "replace": "a follower in the place of a member",
    "next-key": "on a member's host: make its next key",
    "rotate": "begin an epoch with a member's next key",
}


def _newcomer(options: dict[str, Any]) -> Member:
    return Member(
        id=options["newcomer"],
        public_key=public_key_of_peer_id(options["peer_id"]),
        host=options["host"],
        port=options["port"],
    )
