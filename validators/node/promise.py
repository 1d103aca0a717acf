"""The one end of an epoch that a member signed (R11), kept beside the key that signed it.

Not in the ledger: a member that lost that could sign a second end, and convict itself. Where this file is
gone the key is gone too, unless somebody brought the key back from a copy older than the file
(docs/threat-model.md).
"""

from __future__ import annotations

from validators import canonical
from validators.consensus.continuation import Continuation
from validators.consensus.membership import Membership
from validators.link import KeyFileError, write_private
from validators.node.layout import NodeFolder
from validators.node.options import StartError
from validators.recovery.forms import RecoveryError, SignedFile, opened
from validators.recovery.sealing import said_in

__all__ = ["check_promise", "keep_promise", "promised"]


def promised(folder: NodeFolder, epoch: int) -> tuple[SignedFile, Continuation] | None:
    """What the key in this folder signed as the end of `epoch`; None: nothing. Raises KeyFileError."""
    try:
        file = opened(SignedFile, folder.promise.read_bytes())
        said = said_in(file)
    except FileNotFoundError:
        return None
    except (OSError, RecoveryError) as error:
        raise KeyFileError(f"What this key signed ({folder.promise}) cannot be read: it {error}") from error
    return (file, said) if said.epoch == epoch else None


def keep_promise(folder: NodeFolder, file: SignedFile) -> None:
    """Make it durable, before anybody else sees the signature. That of an epoch before goes: so did its
    key. Raises OSError."""
    write_private(folder.promise, canonical.encode(file), replace=True)


def check_promise(folder: NodeFolder, membership: Membership) -> None:
    """Raise StartError where this member signed an end of the epoch that it would vote in."""
    if promised(folder, membership.epoch) is not None:
        raise StartError(
            f"This member signed the recovery of epoch {membership.epoch} and votes in it no more: put the "
            "sealed recovery in place (manage.py genesis recover install)."
        )
