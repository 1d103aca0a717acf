"""Imports tickets from a file into the network: read, interpret, separate personal data, send.

reading   a CSV, XLSX (workbook) or JSON file in any encoding and with any delimiter  ->  Record
pretix    the JSON shapes of pretix  ->  Record with the column names of its spreadsheet export
columns   a Record  ->  ImportedTicket, or the reason why it is not a ticket
zones     the time zone of each event, for times without an offset (moments)
holders   personal data  ->  an erasable table and a salted commitment
sending   ImportedTickets  ->  POST /api/v1/tickets/batch, several in flight, repeated safely (the command)
ordering  ImportedTickets  ->  this platform's gateway (the worker of the page)
"""

from tickets.importing.columns import Columns, Holder, ImportedTicket, LeftOut, WrongRow
from tickets.importing.reading import read_records
from tickets.importing.record import FileRefused, Record
from tickets.importing.tickets import TicketFile, by_event, read_tickets

__all__ = [
    "Columns",
    "FileRefused",
    "Holder",
    "ImportedTicket",
    "LeftOut",
    "Record",
    "TicketFile",
    "WrongRow",
    "by_event",
    "read_records",
    "read_tickets",
]
