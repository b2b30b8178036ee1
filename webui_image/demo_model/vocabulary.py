"""What the small model can draw, and the words for it: the one list that drawing, captions, reader and tokenizer share.

Colours lie near the corners of the RGB cube where they can, so that a picture pushed too far by strong guidance is
clipped back to the colour that was asked for instead of turning into another one.
"""

from typing import Final

__all__ = ["BACKGROUNDS", "COLOURS", "NOISE_WORDS", "PALETTE", "PLACES", "SHAPES", "SIZES", "tokenizer_words"]

PALETTE: Final[dict[str, tuple[int, int, int]]] = {
    "red": (240, 0, 20),
    "orange": (255, 130, 0),
    "yellow": (255, 240, 0),
    "green": (0, 170, 40),
    "cyan": (0, 225, 255),
    "blue": (0, 40, 255),
    "purple": (140, 0, 170),
    "pink": (255, 90, 200),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
}
COLOURS: Final = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
BACKGROUNDS: Final = ("white", "black", "gray", "blue", "yellow", "green", "pink")
SHAPES: Final = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring")
SIZES: Final[dict[str, float]] = {"small": 0.22, "medium": 0.3, "large": 0.365}
"""Half the width of a shape as a share of 64 pixels; a larger picture has more background, not a larger shape."""
PLACES: Final[dict[str, tuple[int, int]]] = {
    "center": (0, 0),
    "left": (-1, 0),
    "right": (1, 0),
    "top": (0, -1),
    "bottom": (0, 1),
    "top left": (-1, -1),
    "top right": (1, -1),
    "bottom left": (-1, 1),
    "bottom right": (1, 1),
}
NOISE_WORDS: Final = (
    "masterpiece", "best quality", "high quality", "highly detailed", "detailed", "8k", "4k", "simple", "clean", "flat",
    "minimal", "vector", "vector art", "icon", "logo", "beautiful", "nice", "cute", "sharp", "vivid", "digital art",
    "trending on artstation", "illustration", "graphic", "geometric", "crisp", "bold", "modern", "artwork",
)  # fmt: skip
"""What people add to any prompt; it changes nothing in the picture."""

_SENTENCE_WORDS: Final = """
    a an the of on in at and with is it one there please draw me i want this picture drawing image painting photo art
    background backdrop shape colored color colour coloured solid plain over against big little tiny huge middle centre
    corner side grey located placed sized bad blurry low ugly worst , . : ( ) ! -
"""


def tokenizer_words() -> tuple[str, ...]:
    """Words that are one token each, in a fixed order; every other word is spelt in bytes."""
    phrases = (*PALETTE, *SHAPES, *SIZES, *PLACES, *NOISE_WORDS, _SENTENCE_WORDS)
    return tuple(dict.fromkeys(word for phrase in phrases for word in phrase.split()))
