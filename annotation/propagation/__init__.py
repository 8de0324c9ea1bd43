"""Masks drawn on one or a few stills, carried through the rest of the clip: the stage `propagate`, and its engines.

It knows labels and footage, but no server and no page; the service of the segmenter asks it, never the other way round.
"""
