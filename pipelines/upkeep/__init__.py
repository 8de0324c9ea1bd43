"""What keeps a dataset in order after it was built: what was removed and stays away, what nobody needs any more.

`places` is the one table of all places in a workspace that a video can be in. `remove`, `verify`, `leftovers` and
`sizes` go by it; they know neither the labelling server nor a model.
"""
