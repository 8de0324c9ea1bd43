"""From a list of videos to a trained, evaluated model of which objects make the sound."""

__version__ = "0.1.0"
