"""Benchmarks whose masks are of what is heard, and of nothing else: AVSBench (S4, MS3, AVSS) and AVTrack.

What is visible and silent has no mask in them, so that no mask means "not heard, or not there".

Here: `avsbench` (specs) with `avsbench_reading` and `avss_writing`; `avtrack`. The layouts of AVSBench are in
avis_data.formats.avsbench, which exports and training read too.
"""
