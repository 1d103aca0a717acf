"""Codes: what is printed on a ticket and read by a scanner (R40). The log and the state hold digests only.

The digest is computed where the code was read: by the platform, a client or a gate. Everything here is part
of the rule: two programs that normalise a code differently would not find each other's tickets.
"""

from __future__ import annotations

import unicodedata

from dtvn.protocol import canonical

VERSION = 1
"""Of the normalisation; an event keeps the version that its row names."""
CODE_BYTES_MAX = 512
"""Most bytes of UTF-8 of a normalised code; the least is one."""
DIGEST_SIZE = 32
SALT_SIZE = 32
VALID_MAX = 8
"""Most valid codes of a ticket."""
CODES_MAX = 32
"""Most codes of a ticket, revoked ones included."""

_STRIPPED = (
    *((0x0, 0x20), (0x7F, 0xA0), (0xAD, 0xAD), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD)),
    *((0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2), (0x1680, 0x1680), (0x180E, 0x180E)),
    *((0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x2064), (0x2066, 0x206F), (0x3000, 0x3000)),
    *((0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0x110BD, 0x110BD), (0x110CD, 0x110CD)),
    *((0x13430, 0x13438), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0001, 0xE0001), (0xE0020, 0xE007F)),
)
"""Ranges of code points that are stripped at both ends: the categories Zs, Zl, Zp, Cc and Cf of Unicode 14.
They are written out because later versions of Unicode add to these categories; NFC needs no such list, since
Unicode never changes it for characters that exist."""
_ENDS = "".join(chr(point) for first, last in _STRIPPED for point in range(first, last + 1))
_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width forms -> ASCII."""


class CodeError(ValueError):
    """A text that cannot be a code; the message says why and does not repeat the text."""


def normalised(text: str) -> str:
    """The text of a code without what scanners, spreadsheets and keyboards add to it (version 1).

    Full-width forms become ASCII, the text NFC, and white space, control and format characters are stripped
    at both ends; nothing else changes, inside or in case. Applying it twice changes nothing more. Raises
    CodeError for a lone surrogate, or unless 1 to 512 bytes of UTF-8 remain.
    """
    found = unicodedata.normalize("NFC", text.translate(_WIDE)).strip(_ENDS)
    try:
        size = len(found.encode("utf-8"))
    except UnicodeEncodeError:
        raise CodeError("a code holds half of a character (a lone surrogate)") from None
    if not size:
        raise CodeError("a code is empty")
    if size > CODE_BYTES_MAX:
        raise CodeError(f"a code has {size} bytes; {CODE_BYTES_MAX} are the most")
    return found


def code_digest(salt: bytes, text: str) -> bytes:
    """The digest, 32 bytes, under which the log knows the code `text` in an event with this salt (32 bytes).

    Raises CodeError as `normalised`, which is applied first.
    """
    return canonical.tagged_digest("dtvn/v1/code", bytes((VERSION,)), salt, normalised(text).encode("utf-8"))


def default_salt(cluster_id: bytes, event: str) -> bytes:
    """The salt, 32 bytes, of an event that has no EventRow yet; the row takes it over."""
    return canonical.tagged_digest("dtvn/v1/event-salt", cluster_id, event.encode("utf-8"))


_DIGEST_HEAD = bytes((0xC4, DIGEST_SIZE))
"""MessagePack: that many bytes follow."""
_ENDS_WITH_CODE = b"\x93"
"""MessagePack: an array of three."""
_TEXT_8, _TEXT_16 = 0xD9, 0xDA
"""MessagePack: the length of a text follows, in one byte or two; else it is in the first byte."""


def code_place(payload: bytes) -> int:
    """Where the digest of a code begins in the payload of a scan, whose fields are gate, device, code and
    later fields; -1: there is none, or the payload is malformed."""
    if payload[:1] == _ENDS_WITH_CODE:
        # The digest's header is in no text, since 0xc4 begins a letter that 0x20 cannot end.
        at = len(payload) - DIGEST_SIZE
    else:
        at = _behind_text(payload, _behind_text(payload, 1)) + len(_DIGEST_HEAD)
    return at if payload[at - len(_DIGEST_HEAD) : at] == _DIGEST_HEAD else -1


def _behind_text(payload: bytes, at: int) -> int:
    """The position behind the text that begins at `at`, whatever bytes these are."""
    head = payload[at : at + 3].ljust(3, b"\0")
    if head[0] == _TEXT_8:
        return at + 2 + head[1]
    return at + 3 + int.from_bytes(head[1:]) if head[0] == _TEXT_16 else at + 1 + (head[0] & 0x1F)
