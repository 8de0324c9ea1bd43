"""What is in a dataset, and what is wrong with it: `avis-data validate` and `avis-data stats`.

`dataset` runs all checks over a dataset; `truth` holds those of the truth files, `media` those of stills and sound,
`published` those of an export's own list of files and certificate; `findings` is what they find, by severity. `stats`
counts. It reads any dataset in the YTVIS / AVISeg layout, ours or foreign, and knows neither predictions nor pages.
"""

from __future__ import annotations

from avis_data.quality.dataset import SPLITS, ValidationReport, truth_files, validate
from avis_data.quality.findings import Finding, Findings, Severity

__all__ = ["SPLITS", "Finding", "Findings", "Severity", "ValidationReport", "truth_files", "validate"]
