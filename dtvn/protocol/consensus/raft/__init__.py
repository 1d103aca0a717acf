"""Raft, for clusters of machines that trust each other (R44): the face is that of the PBFT `Replica`."""

from dtvn.protocol.consensus.raft.replica import RaftReplica

__all__ = ["RaftReplica"]
