"""`manage.py genesis VERB`: what each verb does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from dtvn.ceremony.attaching import attach
from dtvn.ceremony.founding import (
    FoundingError,
    install,
    join,
    lacking_sentence,
    own_member,
    read_file,
    seal,
    write_file,
)
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.proof import shown
from dtvn.protocol import genesis as g
from dtvn.protocol import quorum
from dtvn.protocol.genesis import ceremony as c
from dtvn.protocol.quorum import Mode
from dtvn.recovery import RecoveryError
from validators.management import continuing, granting, recover


class Verbs:
    """The verbs, each a method."""

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper) -> None:
        self.stdout = stdout
        self.stderr = stderr

    def run(self, options: dict[str, Any]) -> None:
        """Run one; raises CommandError."""
        try:
            getattr(self, f"_{options['verb']}")(options)
        except (FoundingError, RecoveryError, g.GenesisError) as error:
            raise CommandError(str(error)) from error

    def _recover(self, options: dict[str, Any]) -> None:
        recover.run(options, self.stdout.write)

    def _continue(self, options: dict[str, Any]) -> None:
        continuing.run(options, self.stdout.write)

    def _grant(self, options: dict[str, Any]) -> None:
        granting.run(options, self.stdout.write)

    def _init(self, options: dict[str, Any]) -> None:
        parameters = continuing.parameters_of(options)
        terms = c.propose(
            options["name"],
            time.time_ns() // 1_000,
            options["members"],
            parameters,
            consensus=Mode(options["consensus"]),
        )
        write_file(options["out"], c.begin(terms), replace=False)
        self.stdout.write(
            f"{options['out']}: {options['name']} is proposed; pass it to all parties for `genesis join`."
        )
        self._warn(terms)

    def _join(self, options: dict[str, Any]) -> None:
        path: Path = options["file"]
        principals = {} if options["no_platform"] else {"gateway": tuple(options["grant"]), "learner": ()}
        out = options["out"] or path
        joined = join(
            read_file(path),
            ClusterFolder(options["data_dir"]),
            node_id=options["id"],
            host=options["host"],
            port=options["port"],
            principals=principals,
            out=out,
            replace=out == path,
        )
        self.stdout.write(
            f"{out}: {options['id']} has joined; its keys are in {options['data_dir']} and must stay there."
        )
        self._warn(joined.terms)

    def _seal(self, options: dict[str, Any]) -> None:
        path: Path = options["file"]
        ceremony = read_file(path)
        for other in options["others"]:
            ceremony = c.merge(ceremony, read_file(other))
        folder = ClusterFolder(options["data_dir"])
        if not options["merge_only"]:
            continuing.check_continued(ceremony, options["state"], options["old_chain"])
            ceremony = seal(ceremony, folder, without_grants=options["without_grants"])
        out = options["out"] or path
        write_file(out, ceremony, replace=out == path)
        absent = c.missing(ceremony)
        joined, expected = len(ceremony.records), ceremony.terms.members
        if joined < expected:
            self.stdout.write(f"{out}: {joined} of {expected} parties have joined.")
        elif absent:
            self.stdout.write(
                f"{out}: not yet sealed by {', '.join(absent)}. Pass the file on; the party that seals last "
                "sends the complete file back to all others."
            )
        elif not options["merge_only"]:
            install(ceremony, folder)
            if options["state"] is not None:
                continuing.put_in_place(options["state"], folder)
            self._say_installed(out, ceremony, folder)
        self._warn(ceremony.terms)

    def _install(self, options: dict[str, Any]) -> None:
        ceremony, folder = read_file(options["file"]), ClusterFolder(options["data_dir"])
        install(ceremony, folder)
        self._say_installed(options["file"], ceremony, folder)

    def _attach(self, options: dict[str, Any]) -> None:
        folder = ClusterFolder(options["data_dir"])
        made = attach(options["file"], folder, options["id"], options["sources"])
        (gateway, its_key), (learner, key) = made.gateway, made.learner
        self.stdout.write(
            f"{folder.root}: keys made. An administrator of the cluster adds them, with the grants needed:\n"
            f"  manage.py principals add {gateway} {peer_id(its_key)} --grant [EVENT:]CAPABILITY\n"
            f"  manage.py principals add {learner} {peer_id(key)}\n"
            f"Then start it with: make up DATA={folder.root}"
        )

    def _say_installed(self, path: Path, ceremony: c.Ceremony, folder: ClusterFolder) -> None:
        """Say how to start, and who else needs the file."""
        own = own_member(ceremony, folder)
        others = [record.party.member.id for record in ceremony.records if record.party.member.id != own]
        self.stdout.write(
            f"{path}: sealed by all, and installed in {folder.root}. Start with: make up DATA={folder.root}, "
            f"or only the node: manage.py validator -data-dir {folder.root} -id {own}"
        )
        if others:
            self.stdout.write(
                f"Send {path} to {', '.join(others)}: each that does not have it yet runs `manage.py genesis "
                f"install {path.name} --data-dir ./data`."
            )

    def _show(self, options: dict[str, Any]) -> None:
        ceremony = read_file(options["file"])
        absent = c.missing(ceremony)
        say = self.stdout.write
        terms, parties = ceremony.terms, [record.party for record in ceremony.records]
        joined = f"{len(parties)} of {terms.members} parties have joined"
        whole = len(parties) == terms.members
        say(f"name         {terms.name}")
        say(f"cluster id   {g.cluster_id(c.founded(ceremony)).hex() if whole else joined}")
        if (continues := c.continued(terms)) is not None:
            say(f"continues    {continuing.described(continues)}")
        say(f"consensus    {c.mode(terms).value}")
        say(f"survives     {quorum.fault_tolerance_sentence(terms.members, c.mode(terms))}")
        for member in (party.member for party in parties):
            mark = "not sealed" if member.id in absent else "sealed"
            say(
                f"member       {member.id}  {member.host}:{member.port}  {peer_id(member.public_key)}  {mark}"
            )
        for principal in (principal for party in parties for principal in party.principals):
            rights = ", ".join(shown(f"{a.event}:{a.capability}") for a in principal.grants) or "no grants"
            say(f"principal    {principal.name}  {peer_id(principal.public_key)}  {rights}")
        for field in terms.parameters.__struct_fields__:
            say(f"parameter    {field} = {getattr(terms.parameters, field)}")
        if not whole:
            raise CommandError(joined)
        if unheld := lacking_sentence(ceremony):
            self.stderr.write(f"WARNING: {unheld}")
        if absent:
            raise CommandError(f"not sealed: {', '.join(absent)} must still sign")

    def _warn(self, terms: c.Terms) -> None:
        """Warn each party, before it joins and before it seals, where no member may lie."""
        if terms.members and quorum.fault_tolerance_note(terms.members, c.mode(terms)):
            self.stderr.write(f"WARNING: {quorum.fault_tolerance_sentence(terms.members, c.mode(terms))}")
