"""Imports tickets from a file into the network: read, understand, ask, separate personal data, send.

reading   a CSV, XLSX (workbook) or JSON file in any encoding and with any delimiter  ->  Record
shapes    JSON of pretix and Eventbrite  ->  Record with the column names of a spreadsheet; jsoncells: of
          any object, so that no text in it is lost
presets   what the exports of ticket shops say, detected by their headers; words: of all other files
source    a whole file: its rows, its columns, its preset
recognised whose stored answers it takes, and what decided in other files of its event that it lacks
questions what decides who comes in, and what nobody has said  ->  Decided (settled), with open questions
rows      a Record under the answers  ->  tickets, or the reason why it is not one
plan      the whole file  ->  ImportPlan, in which no row is missing
barred    what another file of the event left out, and this one would let in  ->  a question
comparing the plan and the network  ->  Changes: what is new, and what the file says otherwise
shown     the changes, for a person to choose from  ->  confirmed, and what of it still holds
events    the plan  ->  events that are created, products that become known
holders   personal data  ->  an erasable table and a salted commitment
applying  confirmed Changes  ->  their steps, one after another; sending: to this platform's own gateway
uploads   the one way of a file into the network, for the page and the command; work: a worker's part
remote    the same from a command, over HTTP
"""

from tickets.importing.answers import Answers, Question, Told
from tickets.importing.imported import Holder, ImportedTicket, LeftOut, WrongRow
from tickets.importing.plan import ImportPlan, by_event, read_plan
from tickets.importing.record import FileRefused, Record
from tickets.importing.settled import Known

__all__ = [
    "Answers",
    "FileRefused",
    "Holder",
    "ImportPlan",
    "ImportedTicket",
    "Known",
    "LeftOut",
    "Question",
    "Record",
    "Told",
    "WrongRow",
    "by_event",
    "read_plan",
]
