"""The formats of annotations, one module each: what is in their files, read and written by pure functions.

Here: paths of a layout, entries of a file, what is wrong in them. Not here: workspaces, splits, publishing
(avis_data.pipelines.imports and exports), tensors (avis_data.training.data).
"""
