"""Which sounds speak for a category: from its name in category sets to names of AudioSet's classes. Only a table."""

from __future__ import annotations

__all__ = ["CLASSES", "classes_of", "is_voice"]

_BIRD = ("Bird", "Bird vocalization, bird call, bird song", "Squawk")
_BIG_CAT = ("Roaring cats (lions, tigers)", "Roar")
_CAR = ("Car", "Car passing by", "Motor vehicle (road)", "Vehicle horn, car horn, honking")
_CHAINSAW = ("Chainsaw",)
_DOG = ("Dog", "Bark", "Yip", "Howl", "Bow-wow", "Growling")
_GUITAR = ("Guitar", "Acoustic guitar", "Electric guitar", "Strum")
_HORSE = ("Horse", "Clip-clop", "Neigh, whinny")
_LAWN_MOWER = ("Lawn mower",)
_SPEECH = ("Speech", "Child speech, kid speaking", "Conversation", "Narration, monologue", "Shout", "Whispering")
_VOICES = (*_SPEECH, "Screaming", "Laughter", "Crying, sobbing", "Singing", "Choir", "Cough", "Whistling")

CLASSES: dict[str, tuple[str, ...]] = {
    "accordion": ("Accordion",),
    "airplane": ("Fixed-wing aircraft, airplane", "Aircraft", "Aircraft engine", "Jet engine", "Propeller, airscrew"),
    "ambulance_siren": ("Ambulance (siren)", "Siren", "Emergency vehicle"),
    "ape": (),
    "baby_laughter": ("Baby laughter",),
    "banjo": ("Banjo",),
    "bass": ("Double bass", "Bass guitar"),
    "bassoon": ("Wind instrument, woodwind instrument",),
    "bear": ("Growling", "Roar"),
    "bee": ("Bee, wasp, etc.", "Buzz", "Insect"),
    "boat": ("Boat, Water vehicle", "Motorboat, speedboat", "Ship"),
    "bottle": ("Chink, clink",),
    "cap_gun_shooting": ("Cap gun", "Gunshot, gunfire"),
    "car": _CAR,
    "cat": ("Cat", "Meow", "Purr", "Caterwaul"),
    "cat_meowing": ("Cat", "Meow", "Caterwaul"),
    "cello": ("Cello",),
    "chainsawing_trees": _CHAINSAW,
    "clarinet": ("Clarinet",),
    "cow": ("Cattle, bovinae", "Moo"),
    "coyote_howling": ("Howl", "Canidae, dogs, wolves"),
    "deer": (),
    "dog": _DOG,
    "dog_barking": _DOG,
    "driving_buses": ("Bus",),
    "duck": ("Duck", "Quack"),
    "eagle": _BIRD,
    "earless_seal": (),
    "elephant": (),
    "erhu": ("Bowed string instrument",),
    "female_singing": ("Singing", "Child singing", "Choir", "Vocal music"),
    "fish": (),
    "flower": (),
    "flute": ("Flute",),
    "fox": ("Canidae, dogs, wolves",),
    "frog": ("Frog", "Croak"),
    "giant_panda": (),
    "giraffe": (),
    "guitar": _GUITAR,
    "guzheng": ("Zither",),
    "hammer": ("Hammer",),
    "hand": ("Hands", "Clapping", "Finger snapping"),
    "helicopter": ("Helicopter",),
    "horse": _HORSE,
    "horse_clip-clop": _HORSE,
    "lawn_mover": _LAWN_MOWER,
    "lawn_mowing": _LAWN_MOWER,
    "leopard": _BIG_CAT,
    "lift": (),
    "lion": _BIG_CAT,
    "lions_roaring": _BIG_CAT,
    "lizard": (),
    "male_speech": _SPEECH,
    "mirror": (),
    "monkey": (),
    "motorbike": ("Motorcycle",),
    "mouse": ("Mouse", "Rodents, rats, mice"),
    "mynah_bird_singing": _BIRD,
    "oscilloscope": (),
    "owl": ("Owl", "Hoot"),
    "parrot": _BIRD,
    "person": _VOICES,
    "piano": ("Piano", "Electric piano"),
    "pipa": ("Plucked string instrument",),
    "playing_acoustic_guitar": _GUITAR,
    "playing_glockenspiel": ("Glockenspiel", "Mallet percussion"),
    "playing_piano": ("Piano", "Electric piano"),
    "playing_tabla": ("Tabla",),
    "playing_ukulele": ("Ukulele",),
    "playing_violin": ("Violin, fiddle",),
    "rabbit": (),
    "race_car": ("Race car, auto racing", "Accelerating, revving, vroom"),
    "saxophone": ("Saxophone",),
    "sedan": _CAR,
    "shark": (),
    "skateboard": ("Skateboard",),
    "snake": ("Snake", "Hiss", "Rattle"),
    "snowboard": (),
    "surfboard": (),
    "synthesizer": ("Synthesizer", "Electronic music"),
    "tennis_racket": ("Whack, thwack",),
    "tiger": _BIG_CAT,
    "train": ("Train", "Rail transport", "Train whistle", "Train horn", "Railroad car, train wagon"),
    "tree_harvester": (*_CHAINSAW, "Heavy engine (low frequency)"),
    "truck": ("Truck", "Air brake", "Air horn, truck horn"),
    "trumpet": ("Trumpet",),
    "tuba": ("Brass instrument",),
    "turtle": (),
    "typing_on_computer_keyboard": ("Computer keyboard", "Typing"),
    "ukulele": ("Ukulele",),
    "violin": ("Violin, fiddle",),
    "zebra": (),
}
"""Of every category of the sets that ship; empty: no class of AudioSet is its sound."""


def classes_of(category: str) -> tuple[str, ...]:
    """The classes that speak for a category; none where it has no sound of its own, or is not in the table."""
    return CLASSES.get(category, ())


def is_voice(category: str) -> bool:
    """Whether a category is heard by its speech."""
    return "Speech" in classes_of(category)
