"""Formats of what shares and loads datasets: hubs and their loaders.

`hf` ends in a `SetSpec` and imports nothing heavy; `parquet_set` and `parquet_files` write and read its files, `card`
the page about the set. `plain` has a clip as plain values, as Parquet holds it; `counted` adds up what is said of a
whole set.

Not here: benchmarks (formats.boards), labelling tools (formats.tools), workspaces.
"""
