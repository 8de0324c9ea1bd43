"""The Python door: what `import avis_data as avis` gives, one module for each concept.

Everything here is thin: it turns what a person passes (`str` paths, names, a set of clips) into the arguments of the
functions that the commands use, and gives back objects that show themselves in a notebook. No figure is computed here,
no file format is known here. Like the command line, the door may reach up into `pipelines`, `annotation` and
`training`, inside functions only; nothing but `avis_data/__init__.py` imports the door.
"""
