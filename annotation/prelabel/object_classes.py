"""What detectors call the categories of a dataset: classes of Open Images, or words. Only tables."""

from __future__ import annotations

__all__ = ["open_images_classes", "words_of"]

_OPEN_IMAGES: dict[str, tuple[str, ...]] = {
    "baby_laughter": ("Person",),
    "bottle": ("Bottle",),
    "car": ("Car", "Vehicle"),
    "cat": ("Cat",),
    "cat_meowing": ("Cat",),
    "cow": ("Cattle",),
    "dog": ("Dog",),
    "dog_barking": ("Dog",),
    "female_singing": ("Person",),
    "male_speech": ("Person",),
    "person": ("Person",),
    "race_car": ("Car", "Vehicle"),
    "sedan": ("Car", "Vehicle"),
    "typing_on_computer_keyboard": ("Laptop",),
}
"""Of the sets that ship, those categories that one of the small detector's 23 classes shows."""

_WORDS = {
    "ambulance_siren": "ambulance",
    "baby_laughter": "baby",
    "bass": "double bass",
    "cap_gun_shooting": "toy gun",
    "cat_meowing": "cat",
    "chainsawing_trees": "chainsaw",
    "coyote_howling": "coyote",
    "dog_barking": "dog",
    "driving_buses": "bus",
    "earless_seal": "seal",
    "female_singing": "woman",
    "horse_clip-clop": "horse",
    "lawn_mover": "lawn mower",
    "lawn_mowing": "lawn mower",
    "lions_roaring": "lion",
    "male_speech": "man",
    "mynah_bird_singing": "mynah bird",
    "playing_acoustic_guitar": "acoustic guitar",
    "playing_glockenspiel": "glockenspiel",
    "playing_piano": "piano",
    "playing_tabla": "tabla",
    "playing_ukulele": "ukulele",
    "playing_violin": "violin",
    "typing_on_computer_keyboard": "computer keyboard",
}
"""Where the name of a category is a sound, the thing that makes it."""


def open_images_classes(category: str) -> tuple[str, ...]:
    """The classes of Open Images that show a category; none where the small detector knows no such thing.

    Example:
        >>> open_images_classes("sedan")
        ('Car', 'Vehicle')
    """
    return _OPEN_IMAGES.get(category, ())


def words_of(category: str) -> str:
    """What a category is called when a detector is asked in words.

    Example:
        >>> words_of("dog_barking"), words_of("tree_harvester")
        ('dog', 'tree harvester')
    """
    return _WORDS.get(category, category.replace("_", " "))
