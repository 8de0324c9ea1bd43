"""Checks any dataset in the YTVIS / AVISeg layout and lists what is wrong, by severity."""

from __future__ import annotations

from avis_data.quality.dataset import SPLITS, ValidationReport, truth_files, validate
from avis_data.quality.findings import Finding, Findings, Severity

__all__ = ["SPLITS", "Finding", "Findings", "Severity", "ValidationReport", "truth_files", "validate"]
