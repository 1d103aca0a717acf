"""Texts that a barcode reader typed through the wrong keyboard layout.

A reader that poses as a keyboard sends keys, not characters. If it takes the computer's keyboard for another
one than the computer does, a code arrives as another text: y and z change places, digits become signs. What
the reader meant is only ever named or compared, never admitted in place of what was read.
"""

from __future__ import annotations

import msgspec


class Layout(msgspec.Struct, frozen=True):
    """The characters of a keyboard's 47 keys, row by row from the top left; NUL is a dead key."""

    name: str
    plain: str
    shifted: str


LAYOUTS = (
    Layout(
        "US",
        "`1234567890-=qwertyuiop[]asdfghjkl;'\\zxcvbnm,./",
        '~!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:"|ZXCVBNM<>?',
    ),
    Layout(
        "German",
        "\x001234567890ß\x00qwertzuiopü+asdfghjklöä#yxcvbnm,.-",
        "°!\"§$%&/()=?\x00QWERTZUIOPÜ*ASDFGHJKLÖÄ'YXCVBNM;:_",
    ),
    Layout(
        "French",
        "²&é\"'(-è_çà)=azertyuiop\x00$qsdfghjklmù*wxcvbn,;:!",
        "\x001234567890°+AZERTYUIOP\x00£QSDFGHJKLM%µWXCVBN?./§",
    ),
    Layout(
        "British",
        "`1234567890-=qwertyuiop[]asdfghjkl;'#zxcvbnm,./",
        '¬!"£$%^&*()_+QWERTYUIOP{}ASDFGHJKL:@~ZXCVBNM<>?',
    ),
    Layout(
        "Swiss",
        "§1234567890'\x00qwertzuiopü\x00asdfghjklöä$yxcvbnm,.-",
        '°+"*ç%&/()=?\x00QWERTZUIOPè!ASDFGHJKLéà£YXCVBNM;:_',
    ),
    Layout(
        "Belgian",
        "²&é\"'(§è!çà)-azertyuiop\x00$qsdfghjklmùµwxcvbn,;:=",
        "³1234567890°_AZERTYUIOP\x00*QSDFGHJKLM%£WXCVBN?./+",
    ),
    Layout(
        "Spanish",
        "º1234567890'¡qwertyuiop\x00+asdfghjklñ\x00çzxcvbnm,.-",
        'ª!"·$%&/()=?¿QWERTYUIOP\x00*ASDFGHJKLÑ\x00ÇZXCVBNM;:_',
    ),
    Layout(
        "Italian",
        "\\1234567890'ìqwertyuiopè+asdfghjklòàùzxcvbnm,.-",
        '|!"£$%&/()=?^QWERTYUIOPé*ASDFGHJKLç°§ZXCVBNM;:_',
    ),
    Layout(
        "Swedish",
        "§1234567890+\x00qwertyuiopå\x00asdfghjklöä'zxcvbnm,.-",
        '½!"#¤%&/()=?\x00QWERTYUIOPÅ\x00ASDFGHJKLÖÄ*ZXCVBNM;:_',
    ),
    Layout(
        "Danish",
        "½1234567890+\x00qwertyuiopå\x00asdfghjklæø'zxcvbnm,.-",
        '§!"#¤%&/()=?\x00QWERTYUIOPÅ\x00ASDFGHJKLÆØ*ZXCVBNM;:_',
    ),
    Layout(
        "Portuguese",
        "\\1234567890'«qwertyuiop+\x00asdfghjklçº\x00zxcvbnm,.-",
        '|!"#$%&/()=?»QWERTYUIOP*\x00ASDFGHJKLÇª\x00ZXCVBNM;:_',
    ),
)
"""The most frequent first: readers leave their factory as US keyboards."""
USUAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:+=?&%#~ ")
"""Characters of codes as shops print them, URLs and Base64 included."""
DIGITS_LIKELY = 4
"""Signs of the row of digits in a text without a digit that make it look like digits."""


class Misreading(msgspec.Struct, frozen=True):
    """What a reader may have meant by a text, and the keyboards that would explain it."""

    meant: str
    reader: str
    """Layout that the reader is set to."""
    computer: str
    """Layout of the computer's keyboard; several with " or "."""

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do; without the text."""
        article = "an" if self.reader.startswith("I") else "a"
        return (
            f"The reader sends the keys of {article} {self.reader} keyboard, but this computer's keyboard is "
            f"{self.computer}: set both to the same layout, then scan again."
        )


_KEYS: dict[tuple[str, str], dict[int, str]] = {}
"""(reader, computer) -> character that arrives -> the one that was meant."""
for _reader in LAYOUTS:
    for _computer in LAYOUTS:
        _pairs = zip(_computer.plain + _computer.shifted, _reader.plain + _reader.shifted, strict=True)
        _known = [(arrived, meant) for arrived, meant in _pairs if "\0" not in (arrived, meant)]
        _KEYS[_reader.name, _computer.name] = {ord(arrived): meant for arrived, meant in reversed(_known)}


def misreadings(text: str) -> list[Misreading]:
    """What a reader may have meant by this text, other than the text itself, the likeliest first; each text
    once."""
    found: dict[str, Misreading] = {}
    for (reader, computer), keys in _KEYS.items():
        if reader == computer or not all(ord(letter) in keys or letter == " " for letter in text):
            continue
        meant = text.translate(keys)
        if meant == text:
            continue
        known = found.get(meant)
        if known is None:
            found[meant] = Misreading(meant, reader, computer)
        elif known.reader == reader:
            found[meant] = msgspec.structs.replace(known, computer=f"{known.computer} or {computer}")
    return list(found.values())


def looks_misread(text: str, readings: list[Misreading]) -> Misreading | None:
    """The likeliest of its `misreadings` if the text looks like none of a shop: it holds letters with accents
    or signs where that reading, of a US reader or on a US computer, has only characters of codes. None if it
    may be a code as it stands."""
    odd = not USUAL.issuperset(text)
    signs = sum(not letter.isalnum() for letter in text)
    if not odd or not (any(ord(letter) > 127 for letter in text) or signs >= DIGITS_LIKELY):
        return None
    likely = (one for one in readings if one.reader == "US" or one.computer.startswith("US"))
    return next((one for one in likely if USUAL.issuperset(one.meant)), None)
