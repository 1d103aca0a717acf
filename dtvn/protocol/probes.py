"""Probes at critical moments: `probe("views.reproposed_batch")` records that a run reached this point.

In a node there is no listener, and a probe costs a call of an empty function at rare moments. The simulator
listens, and a campaign reports which probes no run ever reached (like FoundationDB's CODE_PROBE): a moment
that was never reached was never tested. No behaviour may depend on a probe.
"""

from __future__ import annotations

from collections.abc import Callable

PROBES: dict[str, str] = {
    # votes
    "ordering.abstained_bad_batch": "a proposal breaks a limit or was first proposed in another view",
    "ordering.abstained_bad_timestamp": "a proposal's time is beyond the drift bound",
    "ordering.abstained_duplicate_request": "a proposal holds what was executed already",
    "ordering.abstained_epoch_ends": "a proposal above what may end the epoch (R35)",
    "ordering.abstained_state_behind": "an empty batch arrives before the state that says whether it is due",
    "ordering.abstained_equivocation": "another batch stands at this sequence here",
    "ordering.another_proposal_is_durable": "the first proposal lost to one that others prepared",
    "ordering.prepared_but_executed_otherwise": "an old view prepares what a later view decided otherwise",
    "ordering.prepared_another_than_the_first": "q - 1 PREPAREs for another proposal than the first seen",
    "ordering.prepared_without_own_prepare": "prepared though the own PREPARE is not due, or abstained (R21)",
    "ordering.decided_by_another_view": "q COMMITs of a view that this replica is not in",
    "ordering.decided_without_body": "q COMMITs for a batch that is not here",
    "proposing.holds_until_reproposed_is_executed": "a new primary waits for the reproposed batches",
    "proposing.pipeline_full": "eight proposals are not executed yet",
    "proposing.window_full": "no checkpoint, so no room (P6)",
    # view changes
    "views.left_with_prepared": "a VIEW-CHANGE carries prepared certificates",
    "views.followed_a_weak_quorum": "f + 1 members left, so this one does",
    "views.bad_view_change": "a VIEW-CHANGE proves nothing",
    "views.led": "this replica sends a NEW-VIEW",
    "views.new_view_lacks_view_changes": "a NEW-VIEW names VIEW-CHANGEs that are not here",
    "views.bad_new_view": "a NEW-VIEW does not follow from what it names",
    "views.reproposed_batch": "a view begins with batches proposed again",
    "views.null_request": "a view begins with a null request (P5)",
    "views.started_from_checkpoint": "a view begins above a stable checkpoint",
    # checkpoints and the log
    "checkpoint.proved_above_own_log": "another message proves a checkpoint that was not executed here",
    "checkpoint.voted_above_own_log": "q CHECKPOINTs for what was not executed here",
    "checkpoint.adopted_from_a_message": "the low mark moves by a certificate inside another message",
    "catch_up.refused_a_page": "a page of the log proves nothing",
    "catch_up.up_to_a_checkpoint": "a page is covered by a checkpoint",
    "catch_up.entry_differs": "a page claims other results than were executed",
    # epochs
    "epoch_catch_up.in_a_later_epoch": "a node that slept through epochs continues in the newest one (R35)",
    "epoch_catch_up.no_state_to_be_had": "no peer has a state of the newest epoch: the log is read (R35)",
    "epoch_catch_up.bad_proof": "a member shows an end of an epoch that proves nothing",
    # restarts
    "restore.without_a_vote": "a start that may not vote (R11)",
    "restore.bound_by_a_view_change": "a start between VIEW-CHANGE and NEW-VIEW",
    "restore.open_slot_with_own_prepare": "a start with an own PREPARE for an open sequence",
    "restore.open_slot_with_own_commit": "a start with an own COMMIT for an open sequence",
    "self_messages.unknown_statement": "a statement under the own key that is not in the ledger",
    "pinging.awaits_all": "a start at f = 0 that waits for all others, or the operator (R11)",
    # certificates that exclude each other
    "checkpoint.differs": "one member's CHECKPOINT names another state than the others'",
    "contradiction.stopped": "q members signed one thing, and q another",
    "contradiction.restored": "a start that stops at once: certificates contradicted each other before",
    # Raft (R44)
    "raft.start_doubted": "a member that starts names an older statement than others hold of it (R44)",
    "raft.other_process": "a member learns that a newer process of it is known (R44)",
    "raft.hands_over": "a leader that stops tells a follower to campaign (R44)",
    "raft.elected": "a candidate has the votes of a majority",
    "raft.leader_without_quorum": "a leader steps down that no majority answers",
    "raft.follower_in_later_term": "a leader learns of a later term from a follower",
    "raft.log_differs": "a follower's log does not match where the leader's entries begin",
    "raft.conflict_replaced": "a leader's entry replaces another one in a follower's log",
    "raft.fetched_entry_replaced": "a decided entry that was fetched replaces an undecided one",
    "raft.outside_window": "a follower has no room yet for an entry of its leader",
    "raft.void_record": "a start finds a record of an entry that was replaced with its predecessor",
    # evidence
    "evidence.double_proposal": "a primary proposed two batches for one sequence of a view",
    "evidence.prepare": "two PREPAREs of one member for one slot",
    "evidence.commit": "two COMMITs of one member for one slot",
    "evidence.checkpoint": "two states of one member after one sequence",
    "evidence.view_change": "two VIEW-CHANGEs of one member for one view",
    "evidence.bad_view_change": "a signed VIEW-CHANGE whose proofs prove nothing",
    "evidence.bad_new_view": "a signed NEW-VIEW that does not follow",
    # doors: what callers and starting nodes see, marked by simulator.door_probes
    "door.replace_in_flight_before": "a code is revoked before an admission by it that is under way",
    "door.replace_in_flight_after": "a ticket is admitted while its codes are replaced",
    "door.block_in_flight_before": "a ticket is blocked while an admission is under way, which comes late",
    "door.block_in_flight_after": "a ticket is admitted while it is blocked",
    "door.blocked_between_admission_and_retry": "a scan is repeated after its ticket was blocked (R13)",
    "door.replaced_between_admission_and_retry": "a scan is repeated after its code was replaced (R13)",
    "door.codes_of_a_snapshot": "a node starts with tickets of a fetched state, and indexes their codes",
    "door.revoked_code_read_at_start": "a start with a code that must stay revoked",
    "door.block_read_at_start": "a start with a ticket that must stay blocked",
    # lists: the same, marked by simulator.list_probes
    "list.refused_not_inside": "an exit with a ticket of which nobody is inside",
    "list.refused_still_inside": "an entry of who has to leave first",
    "list.refused_list_full": "an entry where as many are inside as may be",
    "list.refused_list_closed": "an entry outside the window of its list",
    "list.refused_unknown_list": "a scan for a list that the event does not have",
    "list.changed_after_entries": "what lists say changes after entries were made in their event",
    "list.entered_again_after_an_exit": "an entry that an exit gave back is used again",
    "list.entered_on_two_days": "a ticket enters a daily list on another day again",
    "list.entries_dated_anew": "a scan on a list that became a daily one, or is in another zone, since",
    "list.forced_beyond_the_limit": "an entry is forced for a ticket that had none left",
    "list.forced_entry_used_the_last": "an entry is refused after another one was forced",
    "list.annulled": "an entry or an exit is taken back by who made it",
    "list.annulled_by_a_supervisor": "one is taken back by a supervisor",
    "list.exit_annulled": "an exit is taken back",
    "list.entered_after_an_annulment": "a ticket enters after its newest movement was taken back",
    "list.annulled_while_somebody_enters": "an annulment and an entry of one ticket are under way at once",
    "list.annul_of_another_movement": "an annulment whose device or person did not make the newest movement",
    "list.refused_too_late_to_annul": "an annulment by who made it, more than 15 minutes later",
    "list.entry_repeated_after_its_annulment": "a scan is repeated after it was taken back (R13)",
    "list.movements_of_a_snapshot": "a node starts with tickets of a fetched state that moved",
    "list.movements_read_at_start": "a start with movements that must go on counting",
    # faults and versions, marked by the simulator
    "partition.told": "a gateway's watch tells a partition",
    "power_cut.beside_liars": "power fails, nothing unsynced survives, and a member lies",
    "power_cut.after_changes": "the same after the membership changed",
    "power_cut.in_a_transfer": "the same while a member fetches the state",
    "disk.byte_flipped_in_one": "a stored byte of a running member flips",
    "disk.byte_flipped_in_two": "the same, and another member's ledger is damaged or lost already",
    "disk.write_misdirected_in_one": "a write of a running member lands elsewhere",
    "disk.write_misdirected_in_two": "the same, and another member's ledger is damaged or lost already",
    "disk.damage_was_read": "a member ends because it read damaged data",
    "recovery.continued": "n - q + 1 votes were lost, and all members continue the cluster (R11)",
    "old_speaker.left_out_a_field": "a member of the version before sends a message without its later field",
    "old_speaker.refused_a_field": "a member of the version before refuses a message with a later field",
    # notes, which count as probes without a call of their own
    "note.suspected.silent_primary": "no heartbeat for T",
    "note.suspected.no_progress": "waiting work did not move for T",
    "note.suspected.no_new_view": "the next primary did not come",
    "note.suspected.bad_new_view": "the next primary lied",
    "note.suspected.returning_member": "a view is left so that a member may vote again",
    "note.suspected.joined": "enough others suspect",
    "note.suspicion_expired": "a suspicion expired because its cause was gone",
    "note.paused": "a replica noticed that it had been asleep (R31)",
    "note.follower": "a replica gave up its vote (R11)",
    "note.caught_up": "a replica executed pages of the log",
}
"""All probes, with a description of each moment. Two tests compare this table with the code and with a
campaign."""

_listeners: list[Callable[[str], None]] = []


def probe(name: str) -> None:
    """Record that this moment was reached."""
    for listener in _listeners:
        listener(name)


def listen(listener: Callable[[str], None] | None) -> None:
    """Report every probe to `listener` from now on; None: to no listener."""
    _listeners[:] = [] if listener is None else [listener]
