"""One page that shows a dataset: figures, and a contact sheet for each clip."""
