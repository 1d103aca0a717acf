"""Scenario files: a story in commands, and the transcript that it must give.

Stanzas are separated by blank lines: commands, a line `----`, then the transcript: messages with their
fields, executed batches, answers to clients. Lines that begin with # are comments. Real Ed25519, links of one
millisecond, nodes whose turns take no time: the transcript shows the protocol alone.
"""

from __future__ import annotations

from collections.abc import Callable

from dtvn.machine import build, kinds
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.quorum import Mode
from simulator.adversary import corrupt
from simulator.checkers import Checker
from simulator.clock import MICROSECOND, MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.disk import CrashPoint
from simulator.gateway import Gateway, Request
from simulator.network import PERFECT
from simulator.node import FREE, Node
from simulator.transcript import Transcript
from simulator.world import Settings

HIDDEN_AT_FIRST = ("Status", "Hello", "Query", "Answer", "Follow", "Ping", "Pong")
QUIET = 100 * MILLISECOND
QUIET_MAX = 30 * SECOND
VALID = 60 * SECOND
KINDS = {kind.__name__: kind for kind in m.KINDS.values()}


class ScenarioError(ValueError):
    """An invalid command of a scenario."""


def play(text: str) -> str:
    """Run the commands of a scenario; return the whole file with the transcript that they give."""
    stage = Stage()
    written: list[str] = []
    for block in text.strip("\n").split("\n\n"):
        lines = block.split("\n")
        asked = lines[: lines.index("----")] if "----" in lines else lines
        written.append("\n".join(asked))
        orders = [line for line in asked if line.strip() and not line.startswith("#")]
        if orders:
            for order in orders:
                stage.obey(order)
            written[-1] += "\n----\n" + ("\n".join(stage.told()) or "(nothing)")
    stage.finish()
    return "\n\n".join(written) + "\n"


class _Answers(Checker):
    """Writes the answers to clients into the transcript."""

    def __init__(self, cluster: Cluster, transcript: Transcript) -> None:
        super().__init__(cluster.world)
        self._transcript = transcript

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See Checker."""
        for operation, result in zip(request.operations, request.results or (), strict=True):
            what = f"{operation.actor} {operation.kind} {operation.ticket}"
            place = f" at {result.sequence}.{result.index}" if result.sequence else ""
            self._transcript.say(f"{gateway.name} tells {what}: {result.code}{place}")


class Stage:
    """One cluster and the commands that can be given to it."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None
        self._transcript = Transcript(lambda: 0, hidden=frozenset())
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "cluster": self._make,
            "quietly": self._quietly,
            "show": self._show,
            "hide": self._hide,
            "request": self._request,
            "advance": self._advance,
            "stabilize": self._stabilize,
            "crash": self._crash,
            "restart": self._restart,
            "pause": self._pause,
            "resume": self._resume,
            "drop": self._drop,
            "silence": self._silence,
            "cut": self._cut,
            "part": self._part,
            "heal": self._heal,
            "lose": self._lose,
            "state": self._state,
        }

    def obey(self, order: str) -> None:
        """Carry out one line."""
        name, *arguments = order.split()
        if name not in self._commands:
            raise ScenarioError(f"no command {name!r}; there are {', '.join(sorted(self._commands))}")
        self._commands[name](arguments)

    def told(self) -> list[str]:
        """The transcript since the last call."""
        return self._transcript.take()

    def finish(self) -> None:
        """Ask all checkers their last questions, at the end of a story in which all nodes live."""
        if self._cluster is not None and all(n.up for n in self._cluster.world.nodes.values() if n.honest):
            self._cluster.finish()

    @property
    def cluster(self) -> Cluster:
        """The cluster of this story."""
        if self._cluster is None:
            raise ScenarioError("a scenario begins with: cluster N")
        return self._cluster

    # --- making ----------------------------------------------------------------------------------

    def _make(self, arguments: list[str]) -> None:
        """cluster N [learners=0] [gateways=1] [interval=10] [liar=r0:equivocator] [seed=1]
        [mode=raft]"""
        options = dict(argument.split("=", 1) for argument in arguments[1:])
        settings = Settings(
            members=int(arguments[0]),
            learners=int(options.pop("learners", 0)),
            gateways=int(options.pop("gateways", 1)),
            mode=Mode(options.pop("mode", Mode.PBFT)),
            real_signatures=True,
            quality=PERFECT,
            costs=FREE,
            skew_max=0,
            rate_ppm_max=0,
            parameters=Parameters(checkpoint_interval=int(options.pop("interval", 10))),
        )
        cluster = self._cluster = Cluster(f"scenario {options.pop('seed', 1)}", settings)
        for liar in filter(None, options.pop("liar", "").split(",")):
            corrupt(cluster, *liar.split(":", 1))
        if options:
            raise ScenarioError(f"cluster: no option {sorted(options)}")
        hidden = frozenset(KINDS[name] for name in HIDDEN_AT_FIRST)
        self._transcript = Transcript(lambda: cluster.world.time, hidden=hidden)
        cluster.world.observers.add(self._transcript)
        for gateway in cluster.gateways:
            gateway.observers.append(_Answers(cluster, self._transcript))
        cluster.start()
        cluster.world.run_for(20 * MILLISECOND)

    def _quietly(self, arguments: list[str]) -> None:
        """quietly COMMAND: run it without a transcript"""
        before = self.told()
        self.obey(" ".join(arguments))
        self.told()
        self._transcript.lines = before

    def _show(self, arguments: list[str]) -> None:
        """show KIND ...: from now on write these too; `records`: what becomes durable"""
        if "records" in arguments:
            self._transcript.records = True
        self._transcript.hidden -= {KINDS[name] for name in arguments if name != "records"}

    def _hide(self, arguments: list[str]) -> None:
        """hide KIND ...: no longer write these; `records`: nor what becomes durable"""
        if "records" in arguments:
            self._transcript.records = False
        self._transcript.hidden |= {KINDS[name] for name in arguments if name != "records"}

    # --- clients ---------------------------------------------------------------------------------

    def _request(self, arguments: list[str]) -> None:
        """request ACTOR KIND TICKET [nonce=WORD] [at=client-0]"""
        actor, kind, ticket = arguments[:3]
        options = dict(argument.split("=", 1) for argument in arguments[3:])
        name = options.pop("at", "client-0")
        gateway = next(gateway for gateway in self.cluster.gateways if gateway.name == name)
        operation = build(
            kinds.KINDS[kind].command(),
            ticket=ticket,
            actor=actor,
            entry=self.cluster.world.member_names[0],
            valid_until=(gateway.clock.now().wall + VALID) // 1_000,
            nonce=options.pop("nonce", f"{actor} {kind} {ticket}").encode(),
        )
        self._transcript.say(f"{actor} asks {gateway.name}: {kind} {ticket}")
        gateway.ask([operation], wait=VALID)

    # --- time ------------------------------------------------------------------------------------

    def _advance(self, arguments: list[str]) -> None:
        """advance 500us | advance 200ms | advance 2s"""
        word = arguments[0]
        unit = {"us": MICROSECOND, "ms": MILLISECOND}.get(word[-2:], SECOND)
        self.cluster.world.run_for(int(word.rstrip("ums")) * unit)

    def _stabilize(self, arguments: list[str]) -> None:
        """stabilize: until no message that the transcript shows was sent for 100 ms"""
        world = self.cluster.world
        end = world.time + QUIET_MAX
        while world.time < end:
            before = self._transcript.lines_told
            world.run_for(QUIET)
            if self._transcript.lines_told == before:
                return
        raise ScenarioError("stabilize: it does not become quiet")

    # --- faults ----------------------------------------------------------------------------------

    def _nodes(self, names: list[str]) -> list[Node]:
        nodes = self.cluster.world.nodes
        return list(nodes.values()) if names == ["all"] else [nodes[name] for name in names]

    def _crash(self, arguments: list[str]) -> None:
        """crash r0 ... | crash all | crash r0 in next write before persist (or another CrashPoint)"""
        if "in" not in arguments:
            for node in self._nodes(arguments):
                node.crash()
            return
        at = arguments.index("in")
        point = CrashPoint(" ".join(arguments[at + 3 :]))
        for node in self._nodes(arguments[:at]):
            node.crash_in_next_write(point)

    def _restart(self, arguments: list[str]) -> None:
        """restart r0 ... | restart all"""
        for node in self._nodes(arguments):
            self.cluster.world.start(node)

    def _lose(self, arguments: list[str]) -> None:
        """lose r0: its data folder is lost, while it is down"""
        for node in self._nodes(arguments):
            node.lose_disk()

    def _pause(self, arguments: list[str]) -> None:
        """pause r0: like SIGSTOP"""
        for node in self._nodes(arguments):
            node.pause()

    def _resume(self, arguments: list[str]) -> None:
        """resume r0: like SIGCONT"""
        for node in self._nodes(arguments):
            node.resume()

    def _drop(self, arguments: list[str]) -> None:
        """drop [kind=Checkpoint] [from=r0] [to=r1] [view=0] [times=3]"""
        options = dict(argument.split("=", 1) for argument in arguments)
        kind, view, times = options.get("kind"), options.get("view"), options.get("times")
        self.cluster.world.network.when(
            kind=KINDS[kind] if kind else None,
            sender=options.get("from"),
            receiver=options.get("to"),
            view=int(view) if view else None,
        ).drop(times=int(times) if times else None)

    def _silence(self, arguments: list[str]) -> None:
        """silence r0: all its messages are lost from now on"""
        for name in arguments:
            self.cluster.world.network.when(sender=name).drop()

    def _cut(self, arguments: list[str]) -> None:
        """cut r0 r1: messages from r0 to r1 are lost; the other direction works"""
        self.cluster.world.network.cut(*arguments)

    def _part(self, arguments: list[str]) -> None:
        """part r0 r1 | r2 r3: two groups that do not hear each other"""
        at = arguments.index("|")
        self.cluster.world.network.part(arguments[:at], arguments[at + 1 :])

    def _heal(self, arguments: list[str]) -> None:
        """heal: every link carries everything again"""
        self.cluster.world.network.heal()

    def _state(self, arguments: list[str]) -> None:
        """state: the view and the log of each node"""
        for node in self.cluster.world.nodes.values():
            up = "up" if node.up else "down"
            self._transcript.say(
                f"{node.name} is {up}: log {len(node.disk.log)}, stable checkpoint {node.disk.stable}"
            )
