"""Captions as people type prompts: sentences and tag lists, in any order, with noise; and what is kept from training.

Combinations of background, colour and shape in `HELD_OUT` and phrasings in `HELD_OUT_PHRASINGS` never occur in
training, so that a measured picture shows what the model composes and not what it remembers.
"""

import itertools
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from webui_image.demo_model.train.drawing import Scene, random_scene
from webui_image.demo_model.vocabulary import BACKGROUNDS, COLOURS, NOISE_WORDS, PLACES, SHAPES, SIZES

__all__ = ["HELD_OUT", "HELD_OUT_PHRASINGS", "caption", "held_out_prompts", "trained_scene"]

Combination = tuple[str, str, str]

HELD_OUT: Final[frozenset[Combination]] = frozenset(
    (BACKGROUNDS[b], COLOURS[c], SHAPES[s])
    for b, c, s in itertools.product(range(len(BACKGROUNDS)), range(len(COLOURS)), range(len(SHAPES)))
    if (b + 3 * c + 5 * s) % 6 == 0 and BACKGROUNDS[b] != COLOURS[c]
)
"""(background, colour, shape) that no training picture shows; every pair of the three is trained."""

HELD_OUT_PHRASINGS: Final = (
    "please draw me a {colour} {shape} over a solid {background} backdrop",
    "i want one {size} {colour} {shape}, background: {background}",
    "{background} backdrop, {shape} coloured {colour}",
    "icon of a {colour} {shape} against {background}, best quality",
    "{size} {shape}. {colour}. {background} background.",
    "masterpiece, there is a {colour} {shape}, the backdrop is {background}",
    "{colour} {shape} at the {place} of a {background} picture",
    "vector art, plain {background} background and one {colour} {shape}",
    "A {SIZE} {COLOUR} {SHAPE} ON {BACKGROUND}!",
    "the {background} image has a {colour} {shape} in it",
)
"""Templates of the test prompts; their words occur in training captions, their order does not."""

_LEADS: Final = (
    "a picture of ", "a drawing of ", "an image of ", "drawing of ", "a painting of ", "photo of ", "art of ",
    "draw ", "please draw ", "a simple drawing of ", "an illustration of ", "there is ", "i want ", "this is ",
)  # fmt: skip
_BACKGROUND_PHRASES: Final = (
    "on a {} background", "on a {} background", "on {}", "on a plain {} background", "on a solid {} backdrop",
    "{} background", "with a {} background", "over a {} background", "against a {} backdrop", "in a {} picture",
    "against {}", "against a {} background", "over {}", "in a {} image", "on a {} picture",
)  # fmt: skip
_TAGGED_BACKGROUNDS: Final = (
    "{} background", "{} background", "plain {} background", "background is {}", "on {}", "background {}",
    "{} backdrop", "solid {} background",
)  # fmt: skip
_SUBJECTS: Final = (
    "{colour} {shape}", "{colour} {shape}", "{colour} {shape}", "{shape} in {colour}", "{colour} colored {shape}",
    "{colour} coloured {shape}",
)  # fmt: skip
_SIZE_WORDS: Final = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium", "medium sized"),
    "large": ("large", "big", "huge"),
}
_NEGATIVES: Final = (
    "blurry",
    "low quality",
    "worst quality",
    "bad",
    "ugly",
    "bad quality",
    "photo",
    "low quality, ugly",
)


def trained_scene(rng: np.random.Generator) -> Scene:
    """Any scene outside `HELD_OUT`, half of them in the middle, where a prompt without a place gets its shape."""
    while True:
        scene = random_scene(rng)
        if rng.random() < 0.45:
            scene = replace(scene, place="center")
        if (scene.background, scene.colour, scene.shape) not in HELD_OUT:
            return scene


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of many ways to ask for the scene; what it leaves out is left to chance."""
    words = _Words(
        shape=scene.shape if rng.random() < 0.95 else "shape",
        colour=scene.colour if rng.random() < 0.93 else "",
        size=_pick(_SIZE_WORDS[scene.size], rng) if rng.random() < 0.45 else "",
        background=_grey(scene.background, rng) if rng.random() < 0.92 else "",
        place=_place(scene.place, rng) if scene.place != "center" or rng.random() < 0.2 else "",
    )
    forms = (_sentence, _background_first, _tags, _statements)
    form = forms[int(rng.choice(len(forms), p=[0.45, 0.2, 0.25, 0.1]))]
    return _with_noise(" ".join(form(words, rng).split()), rng)


def meaningless(rng: np.random.Generator) -> str:
    """Make a prompt that asks for nothing: empty, or noise and typical negative prompts."""
    if rng.random() < 0.7:
        return ""
    return ", ".join(rng.permutation([_pick(_NEGATIVES, rng), *_noise(rng)])[: rng.integers(1, 4)])


def held_out_prompts(count: int, seed: int = 2024) -> list[tuple[str, Combination]]:
    """Prompts about combinations and in phrasings never trained on, with what their pictures must show."""
    rng = np.random.default_rng(seed)
    combinations = sorted(HELD_OUT)
    order = [i for _ in range(-(-count // len(combinations))) for i in rng.permutation(len(combinations))]
    prompts = []
    for number, index in enumerate(order[:count]):
        background, colour, shape = combinations[index]
        words = {"background": background, "colour": colour, "shape": shape}
        words |= {"size": _pick(tuple(SIZES), rng), "place": _pick(tuple(PLACES), rng)}
        template = HELD_OUT_PHRASINGS[number % len(HELD_OUT_PHRASINGS)]
        text = template.format(**words, **{name.upper(): word.upper() for name, word in words.items()})
        prompts.append((text, combinations[index]))
    return prompts


@dataclass(frozen=True, slots=True)
class _Words:
    """What a caption mentions; empty where it says nothing."""

    shape: str
    colour: str
    size: str
    background: str
    place: str


def _sentence(words: _Words, rng: np.random.Generator) -> str:
    article = _pick(("a", "a", "the", "one", ""), rng)
    lead = _pick(_LEADS, rng) if rng.random() < 0.4 else ""
    ground = _pick(_BACKGROUND_PHRASES, rng).format(words.background) if words.background else ""
    comma = _pick(("", "", ","), rng)
    tail = [part for part in (words.place, ground) if part]
    if rng.random() < 0.5:
        tail.reverse()
    return f"{lead}{article} {words.size} {_subject(words, rng)}{comma} {f'{comma} '.join(tail)}"


def _background_first(words: _Words, rng: np.random.Generator) -> str:
    grounds = (
        "{} background",
        "a {} background",
        "plain {} background",
        "a {} picture",
        "a {} image",
        "the {} picture",
    )
    ground = _pick(grounds, rng)
    link = _pick((" with a", ",", ", a", " and a", ":", " has a"), rng)
    start = f"{ground.format(words.background)}{link}" if words.background else "a"
    return f"{start} {words.size} {_subject(words, rng)} {words.place}"


def _tags(words: _Words, rng: np.random.Generator) -> str:
    parts = [words.place, _pick(_TAGGED_BACKGROUNDS, rng).format(words.background) if words.background else ""]
    whole = rng.random() < 0.7
    parts += [f"{words.size} {_subject(words, rng)}"] if whole else [words.shape, words.colour, words.size]
    kept = [part for part in parts if part.strip()]
    return _pick((", ", ", ", " ", ". "), rng).join(rng.permutation(kept))


def _statements(words: _Words, rng: np.random.Generator) -> str:
    parts = [f"the {words.shape} is {word}" for word in (words.colour, words.size, words.place) if word]
    parts += [f"the background is {words.background}"] if words.background else []
    return _pick((", ", " and ", ". "), rng).join(rng.permutation(parts or [words.shape]))


def _subject(words: _Words, rng: np.random.Generator) -> str:
    return _pick(_SUBJECTS, rng).format(colour=words.colour, shape=words.shape) if words.colour else words.shape


def _grey(background: str, rng: np.random.Generator) -> str:
    return _pick(("gray", "grey"), rng) if background == "gray" else background


def _place(place: str, rng: np.random.Generator) -> str:
    word = _pick(("center", "centre", "middle"), rng) if place == "center" else place
    forms = ["{}", "in the {}", "at the {}", "located at the {}", "placed in the {}"]
    forms += ["{} corner", "in the {} corner"] if " " in place else []
    forms += ["on the {} side", "{} side"] if place in {"left", "right"} else []
    return _pick(forms, rng).format(word)


def _noise(rng: np.random.Generator) -> list[str]:
    words = [_pick(NOISE_WORDS, rng) for _ in range(rng.integers(1, 4))]
    if rng.random() < 0.3:
        words.append("".join(rng.choice(list(string.ascii_lowercase), rng.integers(2, 9))))
    return words


def _with_noise(text: str, rng: np.random.Generator) -> str:
    before = f"{', '.join(_noise(rng))}, " if rng.random() < 0.2 else ""
    after = f", {', '.join(_noise(rng))}" if rng.random() < 0.25 else ""
    return f"{before}{text}{after}{_pick(('', '', '', '.', '!'), rng)}"


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
