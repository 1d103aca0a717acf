"""pretix: order positions and check-in lists as CSV, XLSX and JSON, in English, German, French and Spanish.

The words are those of pretix's own translations; its JSON becomes the columns of its spreadsheet in `shapes`.
"""

from tickets.importing.presets.preset import NO, YES, Preset, entry, status
from tickets.importing.words import names

ORDER = names("Order code|Bestellnummer|Code de commande|Código del pedido")
POSITION = names("Position ID|Position|Positions-ID|ID de la position|ID de posición")
SECRET = names("Ticket secret|Ticket-Code|Secret du billet|Secreto de la entrada|Secret|Secreto")
LACKS = (
    "What pretix prints is the ticket secret, which is not in this file: export it with the secrets "
    "(order positions, or a check-in list with the box for secrets)."
)
NOT_DECIDING = names(
    "Automatically checked in|Automatisch eingecheckt|Enregistrement automatique|Registro automático"
    "|Checked out|Ausgetreten|Passé en caisse|Comprado|Requires special attention"
    "|Benötigt besondere Behandlung|Nécessite une attention particulière|Requiere una atención especial"
    "|E-mail address verified|Email address verified|Check-in text|Check-in-Hinweis"
    "|Texte d'enregistrement|Texto de check-in|Voucher code|Gutscheincode|Invoice address state|State"
    "|Bundesstaat|État|Estado o provincia|Country|Land|Pays|País|Payment providers|valid if pending"
    "|Order date|Order time|Bestelldatum|Bestellzeit|Bestelluhrzeit|Date de commande|Heure de la commande"
    "|Fecha de pedido|Hora del pedido|Price|Preis|Prix|Precio|Tax rate|Tax value|Tax rule|Steuersatz"
    "|Steuerbetrag|Steuerregel|Taux de taxe|Tasa de impuestos|addon to|Add-on to position ID"
    "|Zusatzprodukt zu Positions-ID|Pseudonymization ID|Pseudonymisierungs-ID|Seat ID"
    "|Seat zone|Seat row|Seat number|Sitzplatz-ID|ID du siège|ID asiento|Sitzzone|Sitzreihe|Sitznummer"
    "|Order locale|Bestellsprache|Langue de commande|Idioma del pedido"
    "|Sales channel|Verkaufskanal|Canal de vente|Invoice address company|Invoice address name"
    "|Invoice address street|Invoice address ZIP code|Invoice address city|Invoice address country"
    "|Invoice address state|VAT ID|Umsatzsteuer-ID|Invoice numbers|Rechnungsnummern|External customer ID"
    "|Voucher|Discount|Web checkin secret|answers (a list)|downloads (a list)|print logs (a list)"
    "|order secret|order customer|order user|order sales channel|order datetime|order expires"
    "|order payment date|order payment provider|order total|order tax rounding mode|order checkin attention"
    "|order checkin text|order url|order last modified|order fees (a list)|order payments (a list)"
    "|order downloads (a list)|event name|event organizer name|event organizer slug"
    "|count (of the file)|next (of the file)|previous (of the file)"
) + tuple(
    f"order invoice address {name}"
    for name in names(
        "last modified|is business|company|name|street|zipcode|city|country|state|internal reference"
        "|custom field|vat id|vat id validated"
    )
)
"""What decides nothing: how, when and for how much it was bought, in which language, and where a seat is; of
JSON also what says the order and the event, which have their own columns for what decides."""
BLOCKED = status("Blocked|Gesperrt|Bloqué|Bloqueado", admits=f"|{NO}|none", refuses=YES)
TEST_MODE = status("Test mode|testmode|Testmodus|Mode test|Modo prueba", admits=f"|{NO}", refuses=YES)
SERIES = names(
    "Start date|Startdatum|Date de début|Fecha de inicio|Date|Termin|Fecha|End date|Enddatum|Date de fin"
    "|Fecha de finalización"
)
FIELDS = {
    "event": names(
        "Event slug|Kurzname der Veranstaltung|Titre de l'événement|Slug del evento|Event name|Event"
    ),
    "product": names("Product|Produkt|Produit|Producto"),
    "position": POSITION,
    "name": names(
        "Attendee name|Name Teilnehmer*in|Nom du participant|Nombre del asistente|Teilnehmername"
        "|Invoice address name"
    ),
    "first_name": (),
    "last_name": (),
    "quantity": (),
}

POSITIONS = Preset(
    name="pretix, order positions",
    needs=(ORDER, POSITION, names("Status|Statut|Estado"), names("Product|Produkt|Produit|Producto")),
    code=SECRET,
    lacks=LACKS,
    fields=FIELDS,
    ids=("order+position",),
    statuses=(
        status(
            "Status|Statut|Estado",
            admits="paid|pending (confirmed)|confirmed|bezahlt|ausstehend (bestätigt)|payé"
            "|en attente (confirmé)|pagado|pendiente (confirmado)",
            refuses="pending|canceled|cancelled|expired|approval pending|canceled (paid fee)|ausstehend"
            "|storniert|abgelaufen|freigabe ausstehend|storniert (bezahlte gebühr)|en attente|annulé|expiré"
            "|approbation en attente|annulé (frais payés)|pendiente|cancelado|expirado|aprobación pendiente"
            "|cancelado (tarifa pagada)",
        ),
        BLOCKED,
        TEST_MODE,
    ),
    entries=(entry("checkins", entered="*"), entry("Check-in lists|Check-in-Listen", entered="")),
    ignored=NOT_DECIDING,
    series=SERIES,
    admission="product admits",
)
CHECKIN_LIST = Preset(
    name="pretix, check-in list",
    needs=(
        ORDER,
        names("Checked in|Eingecheckt|Enregistrement effectué|Chequeado"),
        names("Product|Produkt|Produit|Producto"),
    ),
    code=SECRET,
    lacks=LACKS,
    fields=FIELDS,
    statuses=(status("Paid|bezahlt|Payé|Pagado", admits=YES, refuses=NO), BLOCKED),
    entries=(entry("Checked in|Eingecheckt|Enregistrement effectué|Chequeado"),),
    ignored=NOT_DECIDING,
    series=SERIES,
)
CODES = Preset(
    name="pretix, valid check-in codes",
    needs=(
        names("Secret|Secreto"),
        names("Product|Produkt|Produit|Producto"),
        names("Paid|bezahlt|Payé|Pagado"),
        names("Variation|Variante|Variacion"),
    ),
    code=SECRET,
    fields=FIELDS,
    statuses=(status("Paid|bezahlt|Payé|Pagado", admits=YES, refuses=NO),),
)
