"""Divide clips into train, val and test: exact counts, sources kept together, categories spread evenly."""

from avis_data.splits.assign import (
    SPLIT_NAMES,
    Assignment,
    BalanceReport,
    BalanceRow,
    SplitClip,
    SplitRequest,
    assign_splits,
    balance_report,
    parse_split,
)

__all__ = [
    "SPLIT_NAMES",
    "Assignment",
    "BalanceReport",
    "BalanceRow",
    "SplitClip",
    "SplitRequest",
    "assign_splits",
    "balance_report",
    "parse_split",
]
