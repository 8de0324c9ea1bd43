"""The ledger: what was done to which item, with which result. One SQLite file per workspace.

`database` opens the file and turns what SQLite says of it into our errors, `rows` checks what the rows hold, `ledger`
has a method for each question, and `text` writes it as text and makes it anew from that. Nothing else opens the file.
"""

from avis_data.ledger.database import REPAIR, DamagedLedger
from avis_data.ledger.ledger import Ledger
from avis_data.ledger.rows import Done, Entry, Failed, MeanCost, Output, RunInfo, StateCount

__all__ = [
    "REPAIR",
    "DamagedLedger",
    "Done",
    "Entry",
    "Failed",
    "Ledger",
    "MeanCost",
    "Output",
    "RunInfo",
    "StateCount",
]
