"""The ledger: what was done to which item, with which result. One SQLite file per workspace.

`database` opens the file and turns what SQLite says of it into our errors, `rows` checks what the rows hold, `ledger`
has a method for each question, `tallies` looks over all stages, `key_texts` says what items would be made from now, and
`text` writes it as text and makes it anew from that. Nothing else opens the file.
"""

from avis_data.ledger.database import REPAIR, DamagedLedger, damaged
from avis_data.ledger.key_texts import FinishedItem, KeyText
from avis_data.ledger.ledger import Ledger
from avis_data.ledger.rows import Done, Entry, Failed, Lookup, Made, MeanCost, Output, RunInfo, StateCount
from avis_data.ledger.tallies import RowKind, UnlistedItem

__all__ = [
    "REPAIR",
    "DamagedLedger",
    "Done",
    "Entry",
    "Failed",
    "FinishedItem",
    "KeyText",
    "Ledger",
    "Lookup",
    "Made",
    "MeanCost",
    "Output",
    "RowKind",
    "RunInfo",
    "StateCount",
    "UnlistedItem",
    "damaged",
]
