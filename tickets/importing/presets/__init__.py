"""Presets of ticket shops, detected by the header of a file."""

from collections.abc import Collection

from tickets.importing.presets import eventbrite, own, pretix, shops
from tickets.importing.presets.preset import Preset

PRESETS: tuple[Preset, ...] = (
    own.OWN,
    own.ADMISSION,
    pretix.POSITIONS,
    pretix.CHECKIN_LIST,
    pretix.CODES,
    eventbrite.REPORT,
    eventbrite.API,
    shops.TICKET_TAILOR,
    shops.WEEZEVENT_FR,
    shops.WEEZEVENT_EN,
    shops.HI_EVENTS,
    shops.TITO,
    shops.ALF_IO,
    shops.INDICO,
    shops.EVENT_TICKETS,
    shops.WIX,
)
PLAIN = Preset(name="", needs=())
"""A file of no known shop."""


def preset_of(header: Collection[str]) -> Preset:
    """The preset of a file with these normalised columns; PLAIN if none fits."""
    return next((preset for preset in PRESETS if preset.fits(header)), PLAIN)


__all__ = ["PLAIN", "PRESETS", "Preset", "preset_of"]
