"""Formats of what shares and loads datasets: hubs, streaming loaders, catalogues, viewers.

`hf`, `webdataset`, `croissant` and `fiftyone` each end in a `SetSpec` and import nothing heavy; `parquet_files`,
`tar_files`, `card`, `croissant_files` write and read their files. `plain` has a clip as plain values, which Parquet
and JSON hold alike; `counted` adds up what is said of a whole set. `fiftyone_loader` is copied into each such set and
runs where FiftyOne does, without us.

Not here: benchmarks (formats.boards), labelling tools (formats.tools), workspaces.
"""
