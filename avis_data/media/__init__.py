"""From a video file to stills, sound and their times: probing, decoding, the clock.

Here: PyAV reads packets and headers, the ffmpeg program decodes; what all that decodes has in common is in filters.py.
Not here: workspaces, ledgers, stages (avis_data.pipelines), or what is computed from sound (features).
"""
