"""Records that are kept on disk come back as they were, whoever asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from avis_data.records import Track
from avis_data.spools import RecordSpool


def test_many_threads_read_what_was_kept() -> None:
    tracks = [
        Track(
            track_id=f"t{n}", clip_id="c", category="a\nb\u2028 \u00fc" * (n % 7), num_sounding=n, origin="o", round="r"
        )
        for n in range(300)
    ]
    spool = RecordSpool(Track)
    with ThreadPoolExecutor(8) as threads:
        places = list(threads.map(spool.keep, tracks))
        found = list(threads.map(spool.read, [*places, *reversed(places)]))
    assert found == [*tracks, *reversed(tracks)]
