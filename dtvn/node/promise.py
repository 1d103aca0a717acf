"""The one end of an epoch that a member signed (R11), kept beside the key that signed it.

It is not in the ledger: a member that lost its ledger could sign a second end, and convict itself. If this
file is gone, the key is gone too, unless an operator restored the key from a copy older than the file
(docs/understand/threat-model.md).
"""

from __future__ import annotations

from dtvn.files.whole import write_private
from dtvn.net import KeyFileError
from dtvn.node.layout import NodeFolder
from dtvn.node.options import StartError
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Continuation
from dtvn.recovery import RecoveryError, SignedFile, opened
from dtvn.recovery.sealing import said_in


def promised(folder: NodeFolder, epoch: int) -> tuple[SignedFile, Continuation] | None:
    """The end of `epoch` that the key in this folder signed, or None. Raises KeyFileError."""
    try:
        file = opened(SignedFile, folder.promise.read_bytes())
        said = said_in(file)
    except FileNotFoundError:
        return None
    except (OSError, RecoveryError) as error:
        raise KeyFileError(f"What this key signed ({folder.promise}) cannot be read: it {error}") from error
    return (file, said) if said.epoch == epoch else None


def keep_promise(folder: NodeFolder, file: SignedFile) -> None:
    """Store the signed end durably, before the signature leaves this member. It replaces that of an earlier
    epoch, whose key is gone too. Raises OSError."""
    write_private(folder.promise, canonical.encode(file), replace=True)


def check_promise(folder: NodeFolder, membership: Membership) -> None:
    """Raise StartError if this member signed an end of the epoch in which it would vote."""
    if promised(folder, membership.epoch) is not None:
        raise StartError(
            f"This member signed the recovery of epoch {membership.epoch} and votes in it no more: put the "
            "sealed recovery in place (manage.py genesis recover install)."
        )
