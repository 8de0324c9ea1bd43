"""Sets of labelled clips, whatever their format: what every reader gives, what every writer takes, and their specs.

`clips` has the records, `spec` what a format is, `registry` the formats by name, `layout` what names of files and
folders mean in sets of strangers. A format itself is one module of a room beside this one: `tools` (labelling tools),
`boards` (benchmarks and their evaluators), `hubs` (what shares and loads datasets), `turns` (who is heard when).

Not here: workspaces, splits, publishing (avis_data.pipelines.imports and exports).
"""
