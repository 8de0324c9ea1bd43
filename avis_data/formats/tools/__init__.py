"""Labelling tools, read only: CVAT, ISAT, X-AnyLabeling, labelme, Label Studio.

`cvat` and `cvat_files`, and so on: the first ends in a `SetSpec` and imports nothing heavy, the second has the files.
`objects` makes tracks of drawn shapes, for all of them: what belongs together, what lies in front, what cuts holes.

Not here: how our own rounds of labelling are read from Label Studio (annotation.labelstudio).
"""
