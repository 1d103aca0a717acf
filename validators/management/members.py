"""`manage.py members show | prepare | enlist | add | remove | replace | next-key | rotate | moved |
move | parameters | changes | cancel`."""

from __future__ import annotations

import base64
from typing import Any, Literal

from django.core.management.base import CommandError, OutputWrapper

from dtvn.files.genesis import read_genesis_bytes
from dtvn.gateway import gather_liveness_proofs
from dtvn.machine import reasons
from dtvn.net import KeyFileError, ensure_seed, format_multiaddr, public_key_of, read_seed
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.node.moved import keep_address
from dtvn.node.provision import make_newcomer
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.genesis import GenesisError, cluster_id
from dtvn.protocol.genesis.ceremony import check_address, open_genesis
from dtvn.waiting import saying
from dtvn.watch import Agreement
from validators.management.own_gateway import gateway_of, is_platforms
from validators.management.teaching import ACTOR
from validators.membership import (
    ChangeRequest,
    Preview,
    change_of,
    changes,
    check_request,
    incoming_keys,
    order,
    preview,
    read_proof,
    refuse_standstill,
    refuse_version,
)
from validators.models import MembershipChange
from validators.services.errors import ServiceError
from validators.services.principals import add_principal, read_key

SHOWN_CHANGES = 20
PRESENT_WAIT = 3.0
"""Seconds to wait for later epochs if a member does not answer."""
CANCEL_WAIT = 5.0
INTERRUPTED = 130
"""Exit status after Ctrl-C, as in shells."""


class Verbs:
    """The command's verbs, after its parser."""

    def __init__(self, stdout: OutputWrapper) -> None:
        self.stdout = stdout

    def run(self, options: dict[str, Any]) -> None:
        """Dispatch; raises CommandError with one sentence."""
        try:
            getattr(self, "_" + options["verb"].replace("-", "_"))(options)
        except OSError as error:
            raise CommandError(_sentence(error)) from error
        except (ValueError, KeyFileError, GenesisError, ServiceError) as error:
            raise CommandError(str(error)) from error

    # --- on a node's own host ------------------------------------------------------------------------

    def _prepare(self, options: dict[str, Any]) -> None:
        try:
            open_genesis(data := read_genesis_bytes(options["genesis"]))
        except GenesisError as error:
            raise CommandError(f"The genesis {options['genesis']} is not usable: {error}.") from error
        node = ClusterFolder(options["data_dir"]).node(options["id"])
        newest = None
        if options["sources"] is not None:
            newest = canonical.decode(Membership, options["sources"].read_bytes())
        self.stdout.write(peer_id(make_newcomer(node, data, newest)))

    def _next_key(self, options: dict[str, Any]) -> None:
        node = ClusterFolder(options["data_dir"]).node(options["id"])
        read_seed(node.key)
        self.stdout.write(peer_id(public_key_of(ensure_seed(node.next_key))))

    def _moved(self, options: dict[str, Any]) -> None:
        node, host, port = (
            ClusterFolder(options["data_dir"]).node(options["id"]),
            options["host"],
            options["port"],
        )
        check_address(node.id, host, port)
        keep_address(node, host, port, peer_id(public_key_of(read_seed(node.key))))
        self.stdout.write(
            f"{node.id} is reached at {host}:{port} from its next start on; the other members learn it from "
            f"the node. Then have it ordered: manage.py members move {node.id} --host {host} --port {port}"
        )

    # --- at an administrator's gateway ---------------------------------------------------------------

    def _show(self, options: dict[str, Any]) -> None:
        with gateway_of(options["data_dir"]) as gateway:
            with saying("all members to answer"):
                gather_liveness_proofs(gateway, wait=PRESENT_WAIT)
            now = gateway.present
            if options["write"] is not None:
                options["write"].write_bytes(canonical.encode_trimmed(now))
            self.stdout.write(f"cluster {cluster_id(gateway.genesis).hex()}")
            self.stdout.write(f"epoch {now.epoch}, after sequence {now.after}")
            self.stdout.write(f"consensus {now.mode.value}")
            self.stdout.write(quorum.fault_tolerance_sentence(len(now.members), now.mode))
            for member in now.members:
                own = peer_id(member.public_key)
                self.stdout.write(f"{member.id}  {member.host}:{member.port}  {own}")
                self.stdout.write(f"    {format_multiaddr(member.host, member.port, own)}")
            for name in now.parameters.__struct_fields__:
                self.stdout.write(f"{name} = {getattr(now.parameters, name)}")

    def _enlist(self, options: dict[str, Any]) -> None:
        key = read_key(options["peer_id"])
        with gateway_of(options["data_dir"]), saying("the cluster to order it"):
            add_principal(options["newcomer"], key, (), actor=ACTOR)
        self.stdout.write(f"{options['newcomer']} may now follow the log.")

    def _add(self, options: dict[str, Any]) -> None:
        self._change(options, _newcomer("add", options))

    def _replace(self, options: dict[str, Any]) -> None:
        self._change(options, _newcomer("replace", options))

    def _remove(self, options: dict[str, Any]) -> None:
        small = options["allow_small"]
        self._change(options, ChangeRequest(change="remove", node_id=options["leaves"], allow_small=small))

    def _rotate(self, options: dict[str, Any]) -> None:
        asked = ChangeRequest(change="rotate", node_id=options["leaves"], peer_id=options["peer_id"] or "")
        self._change(options, asked)

    def _move(self, options: dict[str, Any]) -> None:
        place = (options["host"], options["port"])
        asked = ChangeRequest(change="move", node_id=options["leaves"], host=place[0], port=place[1])
        self._change(options, asked)

    def _parameters(self, options: dict[str, Any]) -> None:
        named = dict(text.partition("=")[::2] for text in options["set"])
        try:
            wanted = {name: int(value) for name, value in named.items()}
        except ValueError as error:
            raise CommandError("write each parameter as NAME=NUMBER") from error
        self._change(options, ChangeRequest(change="parameters", parameters=wanted))

    def _changes(self, options: dict[str, Any]) -> None:
        self._must_be_platforms(options)
        for row in MembershipChange.objects.all()[:SHOWN_CHANGES]:
            self.stdout.write(f"{row.pk}  {row}  {row.state}  {row.sentence}".rstrip())

    def _cancel(self, options: dict[str, Any]) -> None:
        self._must_be_platforms(options)
        row = changes.cancel(options["number"])
        with saying("`make up` to cancel it"):
            row = changes.wait(row, CANCEL_WAIT)
        self.stdout.write(row.sentence if row.finished else f"{row} will be cancelled when `make up` runs.")

    def _must_be_platforms(self, options: dict[str, Any]) -> None:
        if not is_platforms(options["data_dir"]):
            raise CommandError("this is not the data folder of a platform, which keeps the changes")

    def _change(self, options: dict[str, Any], asked: ChangeRequest) -> None:
        """Show the consequences, ask, have the change ordered, and wait for its epoch."""
        if asked.own and not is_platforms(options["data_dir"]):
            raise CommandError(
                "PEER-ID is required: this is not the data folder of a platform, which could make the key"
            )
        waits = asked.change in ("add", "replace") and not asked.liveness_proof
        if waits and not is_platforms(options["data_dir"]):
            raise CommandError(
                "--liveness-proof is required without a platform: the newcomer's identity/alive.bin"
            )
        with gateway_of(options["data_dir"]) as gateway:
            check_request(asked)
            if asked.change == "move":
                gateway.dial({asked.node_id: (asked.host, asked.port)})
            keys = {} if asked.own else incoming_keys(asked)
            with saying("all members to answer"):
                gather_liveness_proofs(gateway, wait=PRESENT_WAIT)
            now = gateway.present
            expected = preview(now, asked)
            if expected.code:
                raise CommandError(expected.sentence)
            self._foretell(expected)
            if not options["yes"] and not _agreed():
                raise CommandError("nothing changed")
            if asked.own or waits:
                self._through_platform(asked, gateway.agreement())
                return
            with saying("a liveness proof of each member"):
                proofs = gather_liveness_proofs(
                    gateway, without=asked.leaving, keys=keys, versions=asked.raises
                )
            if gateway.present is not now:
                raise CommandError(
                    f"epoch {gateway.present.epoch} has begun meanwhile: check it, then try again"
                )
            if asked.liveness_proof:
                proofs.append(read_proof(asked.liveness_proof))
            change = change_of(now, asked, proofs=tuple(proofs))
            refuse_standstill(now, change)
            refuse_version(now, change)
            with saying(f"the cluster to order the change, and epoch {now.epoch + 1} to begin"):
                began = order(change, actor=ACTOR)
            self.stdout.write(f"epoch {began.epoch} has begun, after sequence {began.sequence}.")

    def _foretell(self, expected: Preview) -> None:
        self.stdout.write(f"now    {expected.before.sentence}\nafter  {expected.after.sentence}")
        for seat in expected.seats:
            if seat.what != "stays":
                who = (
                    seat.before
                    if seat.before == seat.after
                    else f"{seat.before or '-'} > {seat.after or '-'}"
                )
                self.stdout.write(f"seat {seat.index}  {who}  {seat.what}")
        for name, (before, after) in expected.parameters.items():
            self.stdout.write(f"{name}  {before} > {after}")

    def _through_platform(self, asked: ChangeRequest, now: Agreement) -> None:
        """Without a key option: has `make up` on this data folder make the node or its key, and run it."""
        row = changes.ask(asked, actor=ACTOR)
        if now.level == "stuck":
            self.stdout.write(
                f"{now.sentence}. Change {row.pk} waits for a quorum; after that `make up` has it ordered. "
                f"Ctrl-C leaves it waiting, `manage.py members cancel {row.pk}` takes it back."
            )
        said = ""
        with saying("`make up` on this data folder to carry it out"):
            while not row.finished:
                row = changes.wait(row, 0.5)
                if row.sentence != said:
                    said = row.sentence
                    self.stdout.write(said)
        if row.code != reasons.OK:
            raise CommandError(row.sentence)


def _sentence(error: OSError) -> str:
    """The file that cannot be read or written, and why, without the system's error number."""
    return f"{error.filename}: {error.strerror}." if error.filename else str(error)


def _agreed() -> bool:
    """Ask the operator for confirmation."""
    try:
        return input("Apply this change? [y/N] ").strip().lower() == "y"
    except EOFError as error:
        raise CommandError("no terminal to ask on, nothing changed: confirm with --yes") from error
    except KeyboardInterrupt as error:
        raise CommandError("nothing changed", returncode=INTERRUPTED) from error


def _newcomer(change: Literal["add", "replace"], options: dict[str, Any]) -> ChangeRequest:
    proof = options["liveness_proof"]
    return ChangeRequest(
        change=change,
        node_id=options["newcomer"],
        replaces=options.get("leaves") or "",
        peer_id=options["peer_id"] or "",
        host=options["host"] or "",
        port=options["port"] or 0,
        liveness_proof="" if proof is None else base64.b64encode(proof.read_bytes()).decode(),
    )
