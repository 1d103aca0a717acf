"""Take tickets, outcomes and the admission list out of the platform's verified copy, as files.

door      who comes in, by which codes, in which event
tables    the rows of each kind, read in pages        ->  plain values
files     rows as CSV, XLSX or JSON, chunk by chunk; cells that a spreadsheet would run are defused
"""

from tickets.exporting.files import FORMS, defused, write_chunks
from tickets.exporting.tables import CODES, KINDS, Table, open_table

__all__ = ["CODES", "FORMS", "KINDS", "Table", "defused", "open_table", "write_chunks"]
