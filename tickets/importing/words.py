"""Words of ticket lists in English, German, French and Spanish: names of columns, and what says a status.

A preset names the columns of its shop first; these words find the columns of all other files. Which columns
decide who comes in is an open set, so it is asked (importing.columns); words only propose an answer there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from tickets.importing.record import normalised

ASTERISK = r"\*"
"""The value of a cell that holds nothing but an asterisk."""
OF_FILE = " (of the file)"
"""Ends the name of a column that says of all tickets what the file says beside them, so it names none."""


def names(text: str) -> tuple[str, ...]:
    """Column names from "A|B", in the form in which columns are compared; also without spaces, as programs
    write them: "Valid until" is `validUntil` too."""
    found = [normalised(name) for name in text.split("|")]
    return tuple(dict.fromkeys(spelled for name in found for spelled in (name, name.replace(" ", ""))))


def values(text: str) -> frozenset[str]:
    """Values of a column from "a|b", in the form in which values are compared."""
    return frozenset(folded(value) for value in text.split("|"))


def composed(text: str) -> str:
    """A text in the form in which it is compared and kept: composed characters (NFC)."""
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """A value of a column in the form in which values are compared: trimmed and without case."""
    return " ".join(composed(text).casefold().split())


def value_of(cell: str) -> str:
    """A cell as a value of its column: folded; an asterisk in a cell does not stand for any text."""
    value = folded(cell)
    return ASTERISK if value == "*" else value


FIELDS: dict[str, tuple[str, ...]] = {
    "order": names(
        "order code|order|order id|order number|order #|order reference|Bestellnummer|Code de commande"
        "|Código del pedido"
    ),
    "position": names("position id|ID de la position|ID de posición"),
    "event": names(
        "event slug|event|event name|event id|Veranstaltung|Kurzname der Veranstaltung|événement|evento"
        "|Slug del evento"
    ),
    "product": names(
        "product|product name|item|ticket type|type|category|ticket name|ticket class name|Produkt|Ticketart"
        "|Kategorie|Produit|Nom du tarif|Tarif|Type de billet|name of the ticket type|Producto"
        "|Tipo de entrada|Categoría|Catégorie"
    ),
    "variation": names("variation|Variante|Variacion|Variación"),
    "seat": names(
        "seat name|seat|seat id|Sitzbezeichnung|Sitzplatz|Sitzplatz-ID|Nom du siège|Siège|Place|ID du siège"
        "|Nombre del asiento|Asiento|ID asiento"
    ),
    "not_before": names("valid from|not before|Gültig ab|Valable depuis|Valable à partir du|Válido desde"),
    "not_after": names("valid until|valid to|not after|Gültig bis|Valable jusqu'au|Válido hasta"),
    "quantity": names(
        "quantity|qty|number of tickets|number of persons|admits|Anzahl|Menge|Personen|Quantité"
        "|Nombre de places|Cantidad"
    ),
    "name": names(
        "attendee name|holder|name|full name|guest name|ticket full name|Name Teilnehmer*in|Teilnehmer"
        "|Nom du participant|Nom|Nombre del asistente|Nombre|customer name"
    ),
    "first_name": names("first name|firstname|given name|ticket first name|Vorname|Prénom"),
    "last_name": names(
        "last name|lastname|surname|family name|ticket last name|Nachname|Nom de famille|Apellidos|Apellido"
    ),
    "email": names(
        "attendee email|email|e mail|email address|ticket email|E-Mail Teilnehmer*in|E-mail du participant"
        "|adresse email|Correo electrónico del participante|Correo electrónico|customer email"
    ),
    "phone": names("phone number|phone|Telefonnummer|Telefon|Numéro de téléphone|Téléphone|Teléfono"),
    "company": names("company|attendee company|Firma|Entreprise|Société|Empresa"),
    "street": names("address|street|Adresse|Straße|Rue|Dirección|home address 1"),
    "zip": names("zip code|zipcode|zip|Postleitzahl|PLZ|Code postal|Código postal|home zip"),
    "city": names("city|Stadt|Ort|Ville|Ciudad|home city"),
    "country": names("country|Land|Pays|País|home country"),
    "entered_at": names("checked in at|check in date|check in time|checkin date|admitted at"),
}
"""Field -> names of its columns, in order of preference."""
PERSONAL = frozenset(
    {"name", "first_name", "last_name", "email", "phone", "company", "street", "zip", "city"}
)
"""Fields of the holder that are read from the first filled one of several columns."""

PRINTED = re.compile(
    r"\b(bar ?codes?|ticket ?codes?|qr( ?codes?)?|(ticket ?)?secrets?|ticket url|codes? barres?|code à barres"
    r"|c[óo]digo de barras|strich ?codes?|secreto|scan ?codes?)\b"
)
"""Names of columns that hold what is printed on tickets."""
RECORD = re.compile(
    r"#|\b(id|ids|uuid|guid|no|nr|num|number|code|ref|reference|ticket|order|attendee|key|nummer|bestellung"
    r"|n[uú]m[ée]ro|r[ée]f[ée]rence|referencia|commande|pedido|billet|entrada)\b"
    r"|\b(ticket|attendee|order|guest|booking|reservation)(id|uuid|code|no|nr|number|ref|reference)\b"
)
"""Names of columns that may identify a record of the shop, and are sometimes printed too."""
NO_RECORD = re.compile(
    r"\b(phone|telefon|téléphone|teléfono|mobile|seat|sitz|siège|asiento|row|reihe|zip|postal|vat|tax|price"
    r"|preis|prix|precio|product|event|table|voucher code|customer|user|company|list|type|date|time|name"
    r"|email|mail|url|link|address|locale|country|variation|comment|note|notes|text|quantity|currency|paid)\b"
)

STATUS = re.compile(r"status|statut|^(?:stato|estado|stan|zustand|état)$")
"""Names of columns that may decide who comes in. They only order the questions: see importing.columns."""
ENTERED_NAME = re.compile(
    r"checked ?in|check ?ins?\b|\b(attended|scanned|redeemed|used|admitted|entered|eingecheckt|eingelassen"
    r"|entwertet|scanné|enregistré|enregistrement|chequeado|escaneado|registrado|ingresó)\b"
)
"""Names of columns that say who has entered."""
STATUS_WORDS = values(
    "valid|invalid|cancelled|canceled|void|voided|refunded|partially refunded|paid|unpaid|not paid|pending"
    "|pending (confirmed)|canceled (paid fee)|overpaid|expired|blocked|revoked|confirmed|completed|active"
    "|inactive|transferred|disputed|charged back|attending|not attending|awaiting payment|awaiting_payment"
    "|approval pending|withdrawn|rejected|acquired|to_be_paid|deleted|disabled|suspended|on hold"
    "|gültig|ungültig|storniert|bezahlt|unbezahlt|nicht bezahlt|ausstehend|ausstehend (bestätigt)|abgelaufen"
    "|gesperrt|erstattet|bestätigt|abgebrochen|freigabe ausstehend|offen|widerrufen"
    "|valide|non valide|invalide|annulé|annulée|payé|payée|impayé|non payé|en attente"
    "|en attente (confirmé)|expiré|bloqué|remboursé|remboursée|confirmé|approbation en attente"
    "|válido|válida|no válido|cancelado|cancelada|anulado|anulada|pagado|pagada|no pagado|impagado|pendiente"
    "|pendiente (confirmado)|expirado|caducado|bloqueado|reembolsado|confirmado|aprobación pendiente"
)
ENTERED_WORDS = values(
    "checked in|checked_in|checked-in|used|scanned|redeemed|attended|admitted|entered|consumed|eingecheckt"
    "|eingelassen|entwertet|scanné|utilisé|entré|enregistré|chequeado|usado|utilizado|escaneado|registrado"
)
"""Values of a status that say that the guest has entered."""


def is_printed(column: str) -> bool:
    """Whether a column of this normalised name holds what is printed on tickets."""
    return PRINTED.search(column) is not None and not column.endswith(OF_FILE)


def is_record(column: str) -> bool:
    """Whether a column of this normalised name may identify a record of the shop."""
    decides = names_status(column) or names_entry(column) or column.endswith(OF_FILE)
    return bool(RECORD.search(column)) and not (NO_RECORD.search(column) or is_printed(column) or decides)


def names_status(column: str) -> bool:
    """Whether the name of a column is that of a status."""
    return STATUS.search(column) is not None


def names_entry(column: str) -> bool:
    """Whether a column of this name says who has entered."""
    return ENTERED_NAME.search(column) is not None


def has_status(cells: Iterable[str]) -> bool:
    """Whether one of these folded cells holds nothing but a word for a status."""
    return not (STATUS_WORDS | ENTERED_WORDS).isdisjoint(cells)
