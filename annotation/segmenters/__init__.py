"""Engines that turn a click or a box into a mask. They know pictures and prompts, and nothing of labels or servers.

segmenter.py      what an engine must offer, and the spec that names it
engines.py        SEGMENTERS: the registry; loading an engine with its weights
grabcut.py        without weights; box_cues.py: what a tight box says
saliency.py       for photographs: saliency_maps.py runs U²-Net, object_chances.py weighs cues, mask_choice.py chooses
sam.py            SAM and SAM 2 of transformers; segment_anything_engine.py: SAM of its own package
pictures.py       how SAM wants pictures and prompts; official_sam.py: the published files

A new engine is a class like GrabCut and a `SegmenterSpec`: `SEGMENTERS.add(spec)`, or an entry point in the group
`avis_data.segmenters`.
"""
