"""Labels without a person and without training: what is heard, what is seen, and which of it makes the sound.

A tagger says which categories are heard when, a detector where such things are, a segmenter draws them, propagation
follows them, and `who_sounds` says who of them it is. Nothing here knows a server, nor what people drew: what comes out
are first labels, marked as made by machines, for people to start from, or a result file to compare models with.
"""
