"""Rows of pretix's export of order positions, for tests."""

from __future__ import annotations

import csv
import io

# The header of pretix's "Order positions" export (base/exporters/orderlist.py), one name part per name.
PRETIX = """
Event slug,Order code,Position ID,Status,Email,Phone number,Order date,Order time,Product,Variation,Price,
Tax rate,Tax rule,Tax value,Attendee name,Attendee name: Given name,Attendee name: Family name,
Attendee email,Company,Address,ZIP code,City,Country,State,Voucher,Pseudonymization ID,Ticket secret,
Seat ID,Seat name,Seat zone,Seat row,Seat number,Blocked,Valid from,Valid until,Order comment,
Follow-up date,Which T-shirt size?,Company,Invoice address name,Invoice address street,
Invoice address ZIP code,Invoice address city,Invoice address country,Invoice address state,VAT ID,
Sales channel,Order locale,E-mail address verified,External customer ID,Payment providers
""".replace("\n", "").split(",")


def pretix_row(**cells: str) -> list[str]:
    """One order position; its secret is `code-` and its order, unless it is given."""
    known = {
        "Event slug": "fest",
        "Order code": "ABC12",
        "Position ID": "1",
        "Status": "paid",
        "Email": "buyer@example.org",
        "Product": "Day ticket",
        "Attendee name": "Ada Lovelace",
        **{name.replace("_", " "): value for name, value in cells.items()},
    }
    known = {"Ticket secret": f"code-{known['Order code']}", **known}
    return [known.get(name, "") for name in PRETIX]


def as_csv(*rows: list[str], delimiter: str = ",") -> bytes:
    """The rows below pretix's header."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, delimiter=delimiter).writerows([PRETIX, *rows])
    return out.getvalue().encode()


ANSWERS = ["--event-name", "fest=default", "--entrances", "Day ticket", "--new-event", "as-it-is"]
"""Answers to what an import asks about such rows."""
