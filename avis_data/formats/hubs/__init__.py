"""Formats of what shares and loads datasets: hubs, catalogues and loaders.

`hf`, `webdataset` and `croissant` end in a `SetSpec` and import nothing heavy. `parquet_set` and `parquet_files` write
and read Parquet, `shard_writing` and `shard_reading` tar files, `catalogue` Croissant's description of files. `card` is
the page about a set, with what `statements` says, `counted` adds up and people give (`about`). `plain` has a clip as
plain values, as Parquet and JSON hold it.

Not here: benchmarks (formats.boards), labelling tools (formats.tools), workspaces.
"""
