"""`python -m avis_data` is `avis-data`."""

from avis_data.cli.main import entry

entry()
