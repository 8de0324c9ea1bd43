"""COCO pictures as training clips: what is in a set (`coco`), and the same picture seen several times (`pseudo_clips`).

Nothing here knows of models. Which frames a clip has, and how many samples are stills, is said from outside.
"""
