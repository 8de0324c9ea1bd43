"""How truth that exists already enters a workspace: truth files, whole sets with their media, labels of people.

Here: checks against the clips, rows for the tables of masks and tracks. Not here: reading a format (avis_data.formats),
talking with a labelling server (avis_data.annotation).
"""
