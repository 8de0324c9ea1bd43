"""What runs stages: what a stage is, which of its items need work, workers, and how results are kept.

The engine knows no stage by name, and nothing of downloads, imports and exports.
"""
