"""Formats of benchmarks and of the programs that train on them or evaluate them: each a spec and, beside it, its files.

`coco` and `coco_files`, and so on: the first ends in a `SetSpec` and imports nothing heavy, the second has the files.
`gathering` is what the readers share: masks as they are found, with all that is wrong.

Not here: labelling tools (formats.tools), who is heard when without any mask (formats.turns), workspaces.
"""
