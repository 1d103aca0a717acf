"""Whether bytes are the one form of a message: the question that the verifiers' own decoders are held to."""

from dtvn.protocol import canonical


def is_canonical(kind: type[object], data: bytes) -> bool:
    """Whether `data` is the canonical form of a `kind`."""
    try:
        canonical.decode(kind, data)
    except canonical.CanonicalError:
        return False
    return True
