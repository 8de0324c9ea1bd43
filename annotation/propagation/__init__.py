"""Masks drawn on one or a few stills, carried through the rest of the clip."""
