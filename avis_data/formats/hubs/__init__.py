"""Formats of what shares and loads datasets: hubs, catalogues and loaders.

`hf`, `webdataset`, `croissant` and `fiftyone` end in a `SetSpec` and import nothing heavy. `parquet_set` and
`parquet_files` write and read Parquet, `shard_writing` and `shard_reading` tar files, `catalogue` what Croissant says
of files, `fiftyone_files` those of FiftyOne; `fiftyone_loader` is a script that goes with a set and is never run here.
`card` is the page about a set, with what `statements` counts and says and people give (`about`). `plain` has a clip as
plain values, as Parquet and JSON hold it.

Not here: benchmarks (formats.boards), labelling tools (formats.tools), workspaces.
"""
