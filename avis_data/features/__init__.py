"""From the sound of a clip to one row for each labelled still: log-mel pictures, embeddings, loudness, speech, tags.

Here: the computation and the Parquet table of embeddings. Not here: which clips need it (avis_data.pipelines.stages).
"""
