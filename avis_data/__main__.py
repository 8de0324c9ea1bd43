"""`python -m avis_data` is `avis-data`."""

try:
    from avis_data.cli.main import entry
except KeyboardInterrupt:  # nothing is there yet that would heed it
    raise SystemExit(130) from None

entry()
