"""Does a model hear at all? Clips with another sound, and what a model's score loses by it.

`waves` is the arithmetic of sound, `clips` what a split says of what is heard and seen, `conditions` the list of
changes, `plan` the manifest with the hash of every changed sound, `making` the media of a condition, `scoring` what
results of them say. Nothing here knows a model: `avis_data.training.predict.stress` runs one.
"""
