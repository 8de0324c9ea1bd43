"""The stages of the pipeline, the runner that maps them over items, and the executors that do the work."""
