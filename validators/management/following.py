"""The work of `manage.py follow`: key, admission, genesis, then the follower itself."""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from django.core.management.base import CommandError
from setproctitle import setproctitle

from dtvn.net import KeyFileError, ensure_seed, format_multiaddr, public_key_of
from dtvn.node.bootstrap import Place, fetch_genesis, read_place
from dtvn.node.follower import read_listen
from dtvn.node.following import Following, check_folder, following_in, keep_following, keep_report, pin
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from dtvn.protocol.genesis import PRINCIPAL_NAME

EXIT_STOPPED = 0
HOST_DEFAULT, PORT_DEFAULT = "127.0.0.1", "8080"
COMPARE = (
    "compare this id with the organiser's (manage.py members show): whoever answered at the first address "
    "could show another cluster; with --cluster ID another one is refused"
)
PRINCIPAL_TEXT = "1 to 64 of A-Z a-z 0-9 . _ -, with a letter or digit first"


def run(data: Path, options: dict[str, Any]) -> int:
    """Follow until told to stop; returns the exit code. Raises CommandError with one sentence."""
    try:
        return _Follow(data, options).run()
    except (StartError, KeyFileError, OSError) as error:
        raise CommandError(str(error)) from error


class _Follow:
    def __init__(self, data: Path, options: dict[str, Any]) -> None:
        self._data, self._options = data, options
        self._folder = ClusterFolder(data)
        self._stopped = self._told = False

    def run(self) -> int:
        """See run."""
        check_folder(self._data)
        following = self._following()
        place = read_place(following.start)
        self._check(following)
        self._folder.create()
        keep_following(self._data, following)
        seed = ensure_seed(self._folder.follower_key)
        own = peer_id(public_key_of(seed))
        _say(f"this follower's peer id: {own}")
        _say(f"the organiser admits it once, where the platform runs: {_admission(following, own)}")
        if not self._folder.genesis.exists() or not following.cluster:
            following = self._admitted(seed, own, place, following)
            if not following.cluster:
                return EXIT_STOPPED
        elif (wanted := self._options["cluster"]) and not following.cluster.startswith(wanted.lower()):
            raise StartError(f"{self._data} follows cluster {following.cluster}, not {wanted}.")
        _say(f"following cluster {following.cluster}")
        if not self._options["cluster"]:
            _say(COMPARE)
        known = f"--cluster {following.cluster}"
        if following.via:
            _say(
                f"other followers: manage.py follow --from /ip4/HOST/tcp/PORT/p2p/{own} {known}, host and "
                "port as the line `via` below names them: the splice gives them"
            )
        if following.listen and (listen := read_listen(following.listen)) is not None and listen[1]:
            _say(f"other followers: manage.py follow --from {format_multiaddr(*listen, own)} {known}")
        return self._follow(following)

    def _check(self, following: Following) -> None:
        """Refuse what cannot work, before a key is made."""
        if re.fullmatch(PRINCIPAL_NAME, following.name) is None:
            raise CommandError(f"--name {following.name}: not {PRINCIPAL_TEXT}")
        if re.fullmatch("[0-9a-fA-F]{0,64}", self._options["cluster"]) is None:
            raise CommandError(f"--cluster {self._options['cluster']}: not hexadecimal digits, at most 64")
        listen = read_listen(following.listen)
        if listen is not None and ipaddress.ip_address(listen[0]).is_unspecified:
            raise CommandError(
                f"--listen {following.listen}: not an address at which others reach this host; name one of it"
            )
        host, port = _pages_at(following)
        if following.no_pages:
            return
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            raise CommandError(f"--host {host} --port {port}: {error.strerror or error}") from error

    def _following(self) -> Following:
        """How it is started: as told now, else as at the last start."""
        kept, given = following_in(self._data), self._options
        if kept is None and not given["start"]:
            raise CommandError("--from MULTIADDR is needed at the first start: the peer to ask first")
        kept = kept or Following(start=given["start"])
        if given["listen"] and given["via"]:
            raise CommandError("--listen and --via: name one, the way in which others reach this host")
        told = {"start": given["start"] or None, "name": given["name"] or None}
        told |= {name: given[name] for name in ("listen", "via", "writes_at", "host", "port", "no_pages")}
        if given["listen"] is not None or given["via"] is not None:  # the one that is told ends the other
            told |= {"listen": given["listen"] or "", "via": given["via"] or ""}
        changed = {name: value for name, value in told.items() if value is not None}
        following = msgspec.structs.replace(kept, **changed)
        return following if following.name else msgspec.structs.replace(following, name=_host_name())

    def _admitted(self, seed: bytes, own: str, place: Place, following: Following) -> Following:
        """Wait for the genesis, and keep it; unchanged if asked to stop."""
        command = _admission(following, own)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

        def waits(refused: bool) -> None:
            host, port = place.address
            if refused:
                _say(
                    f"waiting to be admitted: {host}:{port} does not know this key yet, or has another key "
                    f"than --from names ({command})"
                )
            else:
                _say(f"waiting for {host}:{port}, which does not answer, or has another key than --from says")

        data = fetch_genesis(seed, place, should_stop=lambda: self._stopped, say=waits)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
        return following if data is None else pin(self._data, following, data, self._options["cluster"])

    def _follow(self, following: Following) -> int:
        if following.no_pages:
            return self._without_pages()
        from validators.data_folder.folder import DataFolder
        from validators.processes.follow import FollowSupervisor

        folder = DataFolder(self._data)
        host, port = _pages_at(following)
        os.environ |= {"DTVN_HOST": host, "PORT": str(port)}
        return FollowSupervisor(folder, host=host, port=port).answer("follow")

    def _without_pages(self) -> int:
        from dtvn.node.garbage import BetweenTurns
        from dtvn.node.run import run_follower
        from validators.ledger import open_ledger

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        setproctitle(f"dtvn follower ({self._data})")
        return run_follower(
            self._data,
            lambda: self._stopped,
            self._beat,
            open_ledger=open_ledger,
            pages=False,
            garbage=BetweenTurns(),
        )

    def _beat(self, report: Mapping[str, Any]) -> None:
        """Keep what the follower says of itself, for the doctor, and tell once that it has an age."""
        keep_report(self._data, report)
        if report["as_of"] and not self._told:
            self._told = True
            _say(f"ready: it follows, at sequence {report['sequence']:,}; `manage.py doctor` tells its age")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True


def _admission(following: Following, own: str) -> str:
    """The organiser's command that admits a follower."""
    return f"manage.py principals add {following.name} {own}"


def _pages_at(following: Following) -> tuple[str, int]:
    """Host and port of its pages: as told, else as the environment tells, else 127.0.0.1:8080."""
    host = following.host or os.environ.get("DTVN_HOST") or HOST_DEFAULT
    port = following.port or os.environ.get("PORT") or PORT_DEFAULT
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65_535):
        raise CommandError(f"--port {port} is not between 1 and 65535")
    return host, int(port)


def _host_name() -> str:
    """This host's name, as far as a principal can have it."""
    kept = "".join(each if each.isalnum() and each.isascii() else "-" for each in os.uname().nodename)
    return kept.strip("-")[:40] or "follower"


def _say(text: str) -> None:
    print(text, flush=True, file=sys.stdout)  # noqa: T201 - to the operator at the terminal
