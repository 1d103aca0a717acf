"""Eventbrite: attendee report with and without barcodes, and the attendees of its API."""

from tickets.importing.presets.preset import NO, YES, Preset, entry, status
from tickets.importing.words import names

ATTENDING = status(
    "Attendee Status|status",
    admits="Attending|Checked In",
    refuses="Not Attending|Deleted|Transferred|Unpaid|Refunded|Cancelled",
)
CHECKED_IN = entry(
    "Attendee Status|status",
    entered="Checked In",
    outside="Attending|Not Attending|Deleted|Transferred|Unpaid|Refunded|Cancelled",
)

REPORT = Preset(
    name="Eventbrite, attendee report",
    needs=(names("Attendee #|Attendee no."), names("Order #|Order no."), names("Attendee Status")),
    code=names("Barcode #|Barcode|Barcode no."),
    lacks="What Eventbrite prints is the barcode, which is not in this file: add the column Barcode # to the "
    "report. No column is what is scanned.",
    fields={"product": names("Ticket Type"), "event": names("Event Name|Event ID"), "name": ()},
    ids=names("Attendee #|Attendee no."),
    statuses=(ATTENDING,),
    entries=(
        CHECKED_IN,
        entry("Checked in|Check-in status", entered=f"{YES}|checked in", outside=f"{NO}|not checked in"),
    ),
    ignored=names(
        "Order Date|Total Paid|Fees Paid|Price Tier|Home Country|Home State|Billing State|Shipping State"
    ),
)
API = Preset(
    name="Eventbrite, attendees of the API",
    needs=(
        names("ticket class name|ticket class id"),
        names("barcode"),
        names("cancelled"),
        names("refunded"),
    ),
    code=names("barcode"),
    fields={
        "product": names("ticket class name|ticket class id"),
        "event": names("event id"),
        "order": names("order id"),
        "name": names("profile name"),
        "email": names("profile email"),
        "first_name": names("profile first name"),
        "last_name": names("profile last name"),
    },
    ids=names("id"),
    statuses=(
        ATTENDING,
        status("cancelled", admits=f"|{NO}", refuses=YES),
        status("refunded", admits=f"|{NO}", refuses=YES),
        status("barcode status", admits="|unused|used", refuses="refunded|cancelled"),
    ),
    entries=(
        CHECKED_IN,
        entry("checked in", entered=YES, outside=NO),
        entry("barcode status", entered="used", outside="unused|refunded|cancelled"),
    ),
    ignored=names(
        "delivery method|guestlist id|answers (a list)|barcodes (a list) created|barcodes (a list) changed"
        "|barcodes (a list) checkin type|barcodes (a list) checkin method|barcodes (a list) is printed"
        "|pagination object count (of the file)|pagination page number (of the file)"
        "|pagination page size (of the file)|pagination page count (of the file)"
        "|pagination has more items (of the file)|pagination continuation (of the file)|locale (of the file)"
    ),
)
