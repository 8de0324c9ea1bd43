"""Masks: run lengths in COCO's form, polygons, drawn outlines, Label Studio's brush coding, and the Parquet table of a
workspace.

The only room that knows COCO's column order. Inside the program a mask is a boolean (H, W) array or an `Rle`.
"""
