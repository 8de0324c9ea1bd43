"""The formats of annotations, one module each: what is in their files, read and written by pure functions.

Here: paths of a layout, entries of a file, what is wrong in them. `ytvis_entries` reads the entries of a truth file for
all who need them: for labels (`ytvis_parse` decodes the masks) and for evaluation (avis_data.metrics.reading).

Not here: workspaces, splits, publishing (avis_data.pipelines.imports and exports), tensors (avis_data.training.data).
"""
