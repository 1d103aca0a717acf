"""Ticket Tailor, Weezevent, Hi.Events, Tito, alf.io, Indico, Event Tickets, Wix: one or two exports each."""

from tickets.importing.presets.preset import NO, YES, Preset, entry, status
from tickets.importing.words import names

TICKET_TAILOR = Preset(
    name="Ticket Tailor, issued tickets",
    needs=(names("Ticket code|Barcode"), names("Ticket status|Status"), names("Issued ticket ID")),
    code=names("Ticket code|Barcode"),
    fields={
        "product": names("Ticket type"),
        "event": names("Event name"),
        "name": names("Full name"),
        "email": names("Email|Buyer Email"),
    },
    ids=names("Issued ticket ID"),
    statuses=(
        status("Ticket status|Status", admits="VALID", refuses="VOID|VOIDED|CANCELLED|REFUNDED|PENDING"),
    ),
    entries=(entry("Checked in|Checked-in", entered=YES, outside=NO),),
    ignored=names("Price"),
)
WEEZEVENT_FR = Preset(
    name="Weezevent, participants (French)",
    needs=(names("Code barre|Code-barres|Code barres"), names("Nom du tarif|Tarif"), names("Nom")),
    code=names("Code barre|Code-barres|Code barres"),
    fields={
        "product": names("Nom du tarif|Tarif"),
        "name": (),
        "first_name": names("Prénom"),
        "last_name": names("Nom"),
    },
    ids=names("Numéro de billet|ID participant"),
    statuses=(
        status(
            "Statut|Statut du billet", admits="valide|payé|confirmé", refuses="annulé|remboursé|en attente"
        ),
    ),
    entries=(entry("Scanné|Contrôlé", entered=YES, outside=NO),),
)
WEEZEVENT_EN = Preset(
    name="Weezevent, template (English)",
    needs=(names("barcode"), names("name of the ticket type"), names("last name")),
    code=names("barcode"),
    fields={"product": names("name of the ticket type"), "name": ()},
)
HI_EVENTS = Preset(
    name="Hi.Events, attendees",
    needs=(names("Public ID"), names("Short ID"), names("Status"), names("Product ID|Ticket ID")),
    code=names("Public ID"),
    fields={
        "product": names("Product Name|Ticket Name"),
        "event": names("Event Name|Event ID"),
        "name": (),
        "entered_at": names("Checked In At|Check In Date"),
    },
    ids=names("ID"),
    statuses=(status("Status", admits="ACTIVE", refuses="CANCELLED|AWAITING_PAYMENT|PENDING|RESERVED"),),
    entries=(entry("Is Checked In|Checked In", entered=YES, outside=NO),),
    ignored=names("Short ID"),
)
TITO = Preset(
    name="Tito, attendees",
    needs=(names("Ticket Reference"), names("Unique Ticket URL"), names("Void Status")),
    fields={
        "product": names("Ticket"),
        "event": names("Event"),
        "order": names("Order Reference"),
        "name": names("Ticket Full Name"),
        "first_name": names("Ticket First Name"),
        "last_name": names("Ticket Last Name"),
        "email": names("Ticket Email|Order Email"),
        "company": names("Ticket Company Name"),
        "phone": names("Ticket Phone Number"),
    },
    lacks="Tito prints the unique ticket URL or the ticket reference, depending on the badge.",
    ids=names("Ticket Reference"),
    statuses=(status("Void Status", admits="", refuses="void|voided|incomplete"),),
    ignored=names("Ticket|Tags|Order Name|Unique Order URL"),
)
ALF_IO = Preset(
    name="alf.io, tickets",
    needs=(names("ReservationID"), names("Category"), names("Status"), names("Locked")),
    fields={
        "product": names("Category"),
        "event": names("Event"),
        "order": names("ReservationID"),
        "email": names("E-Mail"),
        "name": names("Full Name"),
        "street": names("Billing Address"),
    },
    lacks="The QR code of alf.io holds the ID, a stroke and a checksum that is not in this file.",
    statuses=(
        status(
            "Status",
            admits="ACQUIRED|CHECKED_IN",
            refuses="TO_BE_PAID|CANCELLED|FREE|PENDING|RELEASED|EXPIRED|INVALIDATED|PRE_RESERVED",
        ),
    ),
    entries=(
        entry(
            "Status",
            entered="CHECKED_IN",
            outside="ACQUIRED|TO_BE_PAID|CANCELLED|FREE|PENDING|RELEASED|EXPIRED|INVALIDATED|PRE_RESERVED",
        ),
    ),
    ignored=names("Locked|PaidPrice|Confirmation"),
)
INDICO = Preset(
    name="Indico, registrations",
    needs=(names("Registration state"), names("Registration date"), names("ID")),
    fields={"name": names("Name"), "company": names("Affiliation"), "entered_at": names("Check-in date")},
    lacks="Indico's QR code holds a secret that is not in this file.",
    statuses=(
        status(
            "Registration state",
            admits="Completed|Complete",
            refuses="Pending|Withdrawn|Rejected|Unpaid|Awaiting payment",
        ),
    ),
    entries=(entry("Checked in", entered=YES, outside=NO),),
)
EVENT_TICKETS = Preset(
    name="Event Tickets for WordPress, attendees",
    needs=(names("Security Code"), names("Order Status"), names("Check in"), names("Attendee ID|Ticket ID")),
    fields={
        "product": names("Ticket Type|Ticket|Ticket Name"),
        "name": names("Ticket Holder Name|Attendee Name|Customer Name"),
        "email": names("Ticket Holder Email Address|Customer Email Address"),
    },
    lacks="Event Tickets prints a web address around the attendee's id and the security code.",
    statuses=(
        status(
            "Order Status",
            admits="Completed",
            refuses="Refunded|Pending|Failed|Cancelled|Not Completed|Denied|Reversed|Voided|Undefined",
        ),
    ),
    entries=(entry("Check in", entered=YES),),
)
WIX = Preset(
    name="Wix, tickets",
    needs=(
        names("Ticket number"),
        names("Order number"),
        names("Order status"),
        names("Check in url|Archived"),
    ),
    code=names("Check in url"),
    fields={
        "product": names("Name|Ticket name"),
        "order": names("Order number"),
        "name": names("Guest full name|Order full name"),
    },
    lacks="Wix prints a web address around the ticket number and the number of the event.",
    ids=names("Ticket number"),
    statuses=(
        status("Order status", admits="PAID|FREE", refuses="CANCELED|DECLINED|INITIATED|PENDING"),
        status("Archived", admits=f"|{NO}"),
    ),
)
