"""Labelling tools, read only: CVAT, ISAT, X-AnyLabeling, labelme, Label Studio.

`cvat`, `label_studio` and `still_tools` end in a `SetSpec` or several and import nothing heavy; what reads the files
stands beside them: `cvat_files`, `isat_files` and so on.
`objects` makes tracks of drawn shapes, for all of them: what belongs together, what lies in front, what cuts holes.

Not here: how our own rounds of labelling are read from Label Studio (annotation.labelstudio).
"""
