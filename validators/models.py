"""The platform's own tables: which processes should run, which do, and who may call the API.

Nothing here is a source of truth about tickets; the ordered log is.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

NODE_ID_LENGTH_MAX = 64


class Platform(models.Model):
    """Which platform this database belongs to, and which run of it has the lease: one row, written by
    processes.platform_lease. Times are the database's."""

    platform_id = models.CharField(max_length=32, help_text="Random; the data folder keeps it too.")
    cluster = models.CharField(
        max_length=64, blank=True, default="", help_text="Cluster id in hex; empty before one is founded."
    )
    run = models.CharField(
        max_length=32, blank=True, default="", help_text="Random name of the run with the lease; empty: free."
    )
    process = models.CharField(
        max_length=128, blank=True, default="", help_text="Its process; see platform_lease.this_process."
    )
    host = models.CharField(max_length=255, blank=True, default="")
    folder = models.TextField(blank=True, default="", help_text="Its data folder on that host.")
    renewed_at = models.DateTimeField(null=True, blank=True)
    secret_fingerprint = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text="Of the secret key of its run; see services.platform.fingerprint.",
    )

    def __str__(self) -> str:
        return self.platform_id


class NodeRole(models.TextChoices):
    VALIDATOR = "validator", "Validator"
    LEARNER = "learner", "Learner"


class DesiredState(models.TextChoices):
    RUNNING = "running", "Running"
    STOPPED = "stopped", "Stopped"


class NodeStatus(models.TextChoices):
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    ERROR = "error", "Error"
    UNRESPONSIVE = "unresponsive", "Unresponsive"


class NodePart(models.TextChoices):
    MEMBER = "member", "Member"
    JOINING = "joining", "Joining"
    LEFT = "left", "Left"


class ManagedNode(models.Model):
    """A process that this platform keeps running: a validator of the cluster, or its learner.

    It has three writers with separate columns, so that no update is lost: services write the *desired* state
    (desired, generation), the running process its *actual* state (pid, heartbeat, report), and reconcile the
    state that follows from both (status, error, restarts, start_token).
    """

    node_id = models.CharField(primary_key=True, max_length=NODE_ID_LENGTH_MAX)
    role = models.CharField(max_length=16, choices=NodeRole.choices, default=NodeRole.VALIDATOR)
    position = models.PositiveSmallIntegerField(
        default=0, help_text="Index in the genesis; the learner comes after the members."
    )

    part = models.CharField(
        max_length=16,
        choices=NodePart.choices,
        default=NodePart.MEMBER,
        help_text="A node that joins follows without a vote until the cluster has made it a member.",
    )
    desired = models.CharField(max_length=16, choices=DesiredState.choices, default=DesiredState.RUNNING)
    generation = models.PositiveIntegerField(
        default=1, help_text="Incremented by each requested start and restart."
    )

    status = models.CharField(max_length=16, choices=NodeStatus.choices, default=NodeStatus.STOPPED)
    error = models.TextField(blank=True, default="", help_text="Why it is not running, in one sentence.")
    restarts = models.PositiveIntegerField(default=0, help_text="Automatic restarts since it was created.")
    start_token = models.CharField(
        max_length=32,
        blank=True,
        default="",
        help_text="Names the one start request that is valid; a stale message carries another.",
    )

    claimed_token = models.CharField(
        max_length=32, blank=True, default="", help_text="The start request that the process accepted."
    )
    running_generation = models.PositiveIntegerField(null=True, blank=True)
    exit_reason = models.TextField(
        blank=True, default="", help_text="Last message of the process; empty if it was killed."
    )
    host = models.CharField(max_length=255, blank=True, default="")
    pid = models.PositiveIntegerField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(
        null=True, blank=True, help_text="When its main loop last ran, by its own clock."
    )
    report = models.JSONField(
        default=dict, blank=True, help_text="Its last status report: view, sequence, role."
    )

    class Meta:
        ordering: ClassVar = ["position", "node_id"]

    def __str__(self) -> str:
        return self.node_id


class ChangeState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    FOLLOWING = "following", "Newcomer catches up"
    ORDERING = "ordering", "Ordering"
    DONE = "done", "Done"
    REFUSED = "refused", "Refused"
    CANCELLED = "cancelled", "Cancelled"


FINISHED = (ChangeState.DONE, ChangeState.REFUSED, ChangeState.CANCELLED)


class MembershipChange(models.Model):
    """A requested change of the membership; this platform carries them out one after the other.

    The bytes sent to the cluster are stored first, so that after a crash the same request is sent again and
    not a new one.
    """

    request = models.JSONField(db_column="wish", help_text="membership.ChangeRequest")
    actor = models.CharField(max_length=128)
    nonce = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=ChangeState.choices, default=ChangeState.WAITING)
    code = models.CharField(
        max_length=64, blank=True, default="", help_text="Outcome: ok, or the reason for refusal."
    )
    sentence = models.TextField(blank=True, default="", help_text="The outcome, or what it waits for.")
    host = models.CharField(
        max_length=255, blank=True, default="", help_text="Address of a newcomer that this platform made."
    )
    port = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    content = models.BinaryField(default=b"", help_text="The change as it was sent in this attempt.")
    epoch = models.BigIntegerField(null=True, blank=True, help_text="The epoch that it began.")
    sequence = models.BigIntegerField(default=0, help_text="Where the outcome stands in the log.")
    cancelled = models.BooleanField(
        default=False, help_text="To be cancelled: it was not sent to the cluster."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "membership change"
        verbose_name_plural = "membership changes"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["actor", "nonce"], name="one_change_per_nonce")
        ]

    def __str__(self) -> str:
        return f"{self.request.get('change', '')} {self.request.get('node_id', '')}".strip()

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def newcomer(self) -> str:
        """The node that this platform creates for the change; "" for none."""
        creates = self.request["change"] in ("add", "replace") and not self.request.get("peer_id")
        return str(self.request["node_id"]) if creates else ""


class ClusterStatus(models.TextChoices):
    IDLE = "idle", "Idle"
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    STOPPING = "stopping", "Stopping"


class ClusterRequest(models.TextChoices):
    NONE = "", "Nothing"
    START = "start", "Start"
    STOP = "stop", "Stop"
    ROLL = "roll", "Restart one by one"


class ManagedCluster(models.Model):
    """The cluster as a whole: one row. Services write the desired state, the cluster controller the state
    that follows."""

    requested = models.CharField(
        max_length=8,
        db_column="wish",
        choices=ClusterRequest.choices,
        blank=True,
        default=ClusterRequest.NONE,
    )
    members = models.JSONField(default=list, help_text="Names of the members to start.")
    generation = models.PositiveIntegerField(default=0, help_text="Incremented by each request.")
    told = models.JSONField(
        default=dict,
        help_text="Generation of each node after the request; another one means a later request.",
    )

    handled = models.PositiveIntegerField(default=0, help_text="The generation that was accepted.")
    status = models.CharField(max_length=16, choices=ClusterStatus.choices, default=ClusterStatus.IDLE)
    started = models.PositiveSmallIntegerField(default=0, help_text="Running nodes.")
    total = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True, default="", help_text="Why the last start failed.")

    def __str__(self) -> str:
        return self.status


class Announcement(models.Model):
    """A state change to announce to browsers: each one, in order. Old rows are deleted."""

    node_id = models.CharField(
        max_length=NODE_ID_LENGTH_MAX, blank=True, default="", help_text="Empty for the cluster itself."
    )
    status = models.CharField(max_length=16)
    error = models.TextField(blank=True, default="")
    started = models.PositiveSmallIntegerField(default=0)
    total = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.node_id or 'cluster'} {self.status}"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> ApiKeyQuerySet:
        """Keys that are neither revoked nor expired, by the database's clock."""
        now = Now()
        return self.filter(revoked_at__isnull=True).filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))


class Team(models.Model):
    """What people and API keys may do, and at which events; see services.teams."""

    name = models.CharField(max_length=100)
    all_events = models.BooleanField(default=False, help_text="Also those that are created later.")
    events = models.JSONField(
        blank=True, default=list, help_text="Short names of the only events that it is for."
    )
    rights = models.JSONField(
        blank=True, default=list, help_text="services.teams.RIGHTS. Reading is always included."
    )
    lists = models.JSONField(
        blank=True, default=list, help_text="Short names of the only lists on which it lets in; [] for all."
    )
    products = models.JSONField(
        blank=True, default=list, help_text="The only products whose tickets it lets in; [] for all."
    )
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="teams")

    class Meta:
        ordering: ClassVar = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A key of the REST API and the live feed. Only its hash is kept.

    Keys are random and long, so one SHA-256 is enough: a dictionary attack is impossible.
    """

    label = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, help_text="First characters, to recognise it in lists.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    team = models.ForeignKey(
        "Team", on_delete=models.PROTECT, related_name="keys", help_text="What it may do, and where."
    )
    gate = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text="The gate of its scans, whatever they name; empty: the one that they name.",
    )
    made_by = models.CharField(
        max_length=128,
        blank=True,
        default="",
        help_text="Who made it as a steward's link, on the page of its event; empty for other keys.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(
        null=True, blank=True, help_text="Written at most once a minute while it is in use."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = [F("created_at").desc()]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.label} ({self.prefix}…)"


class MemberEvidence(models.Model):
    """Misbehaviour that a node or this platform's gateway reported and this platform verified (P3 and P22).

    The node's ledger keeps the original, but of votes on agent events, which a gateway finds, there is only
    this copy. Pages show it and offer it for download.
    """

    code = models.CharField(max_length=64)
    epoch = models.BigIntegerField()
    member = models.IntegerField(help_text="Index of the convicted member in its epoch.")
    name = models.CharField(max_length=NODE_ID_LENGTH_MAX)
    place = models.CharField(max_length=128, help_text="View and sequence, or the question.")
    content = models.BinaryField(help_text="The file that any verifier checks.")
    reported_by = models.CharField(max_length=NODE_ID_LENGTH_MAX)
    collected_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "evidence of misbehaviour"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["member", "epoch", "code", "place"], name="one_conviction_per_crime"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.code}, {self.place}"


class NetworkCut(models.Model):
    """A time in which members did not hear each other, as this platform saw it: the history of the page
    Network. Written by network_watch.history, which deletes old rows."""

    started_at = models.DateTimeField(help_text="When the last of the words was heard that were missed then.")
    seen_at = models.DateTimeField(help_text="When it was last seen.")
    ended_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When it was first seen to be over; much later than seen_at if nobody watched meanwhile.",
    )
    statements = models.JSONField(help_text="Of each: what, since (Unix seconds), also; see cuts.Statement.")
    groups = models.JSONField(help_text="Names of the members that reached each other, by group.")
    decides = models.JSONField(
        help_text="Names of those that were known to have a quorum; empty if none were."
    )
    may_decide = models.JSONField(
        default=list, help_text="If none were: those that had one if they ran and reached each other."
    )
    consequence = models.TextField(help_text="Which side could decide.")
    certain = models.BooleanField(help_text="Whether all that were cut off were known to run.")
    severity = models.CharField(
        max_length=16, blank=True, default="", help_text="As members called it; empty: for none a partition."
    )
    present = models.TextField(
        blank=True,
        default="",
        help_text="What of it is cut now, if all that are cut off are known to run.",
    )

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return "; ".join(statement["what"] for statement in self.statements)


class LoginAttempts(models.Model):
    """Recent attempts to log in as one user from one address; see services.login_throttle."""

    subject = models.CharField(
        primary_key=True, max_length=64, help_text="Hash of user name and address: no personal data."
    )
    tries = models.PositiveSmallIntegerField(default=0, help_text="Attempts since then without success.")
    since = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.subject[:8]}: {self.tries}"


class PlatformAction(models.Model):
    """An action on the platform itself: what is in the ordered log is not repeated here."""

    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=128, help_text="user:NAME, key:NUMBER, or empty if unknown.")
    action = models.CharField(max_length=128)
    target = models.CharField(max_length=256, blank=True, default="")
    outcome = models.CharField(
        max_length=64, blank=True, default="", help_text="HTTP status or result; empty if interrupted."
    )
    address = models.CharField(max_length=45, blank=True, default="", help_text="Of the client.")

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "platform action"
        verbose_name_plural = "platform actions"

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}".strip()
