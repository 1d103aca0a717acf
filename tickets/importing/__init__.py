"""Bring tickets from a file into the network: read, understand, keep persons apart, send.

reading   a CSV or JSON file in any encoding and with any delimiter  ->  Record
pretix    the JSON shapes of pretix  ->  Record with the column names of its spreadsheet export
columns   a Record  ->  ImportedTicket, or the reason why it is not a ticket
holders   personal data  ->  an erasable table and a salted commitment
sending   ImportedTickets  ->  POST /api/v1/tickets/batch, several in flight, repeated safely
"""

from tickets.importing.columns import Columns, Holder, ImportedTicket, LeftOut, WrongRow
from tickets.importing.reading import read_records
from tickets.importing.record import FileRefused, Record
from tickets.importing.tickets import TicketFile, read_tickets

__all__ = [
    "Columns",
    "FileRefused",
    "Holder",
    "ImportedTicket",
    "LeftOut",
    "Record",
    "TicketFile",
    "WrongRow",
    "read_records",
    "read_tickets",
]
