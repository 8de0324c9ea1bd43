"""Which clips are nearly the same: small copies of stills and sound, a search for pairs, and groups of clips.

A fingerprint is what is kept of a clip: its stills in 32 x 32 grey pixels, and its sound in 32 bands, ten times a
second. `index` finds where two clips may be the same, `pictures` and `sounds` look whether they are, `links` gives the
pairs and their groups.
Here: the computation and the Parquet table. Not here: which clips need it (avis_data.pipelines.stages), nor splits.
"""
