"""A1111's prompt syntax, written from its documented behaviour.

In this order, as there: LoRA tags are taken out; `AND` separates prompts, each of which may end with its weight
(`a cat :1.2 AND a dog`); schedules give the text of each step; the text's brackets give its weights. Every part takes
time in proportion to the text, whatever brackets it consists of. Odd syntax is text and raises nothing. Three things
are refused, because taking them for text would give another picture than was asked for, or cost without measure:
hypernetworks, prompts joined beyond `MOST_JOINED`, and texts that change into more than `MOST_TEXTS` others.

Two differences to A1111 are meant. `[a:b:25]` shows `a` in exactly the first 25 steps, as its documentation says (its
program goes on for a 26th). A weight at the end counts only where `AND` is used: `at 12:30` is a time of day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from webui_image.prompts import attention, schedules
from webui_image.prompts.plan import BREAK, Piece, PromptPlan, Subprompt, Variant
from webui_image.prompts.tags import take_loras
from webui_image.values.errors import Invalid

__all__ = ["BREAK", "MOST_JOINED", "MOST_TEXTS", "Piece", "PromptPlan", "Subprompt", "Variant", "parse"]

MOST_JOINED = 8
MOST_TEXTS = 64

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"[-+]?(?:[0-9]{1,9}\.?|[0-9]{0,9}\.[0-9]{1,9})")


def parse(prompt: str, steps: int, *, done: int = 0, field: str = "prompt") -> PromptPlan:
    """Read a prompt for `steps` sampler steps; `done` steps of a first pass came before (hires fix).

    Raises Invalid (at `field`) for hypernetworks, and beyond MOST_JOINED prompts or MOST_TEXTS different texts.
    """
    text, loras = take_loras(prompt, field=field)
    joined = _AND.split(text)
    if len(joined) > MOST_JOINED:
        raise Invalid(field, f"{len(joined)} prompts are joined with AND; join {MOST_JOINED} at most")
    weighted = [_weight_at_end(part) for part in joined] if len(joined) > 1 else [(1.0, text)]
    tracks = [_track(weight, part, steps, done) for weight, part in weighted]
    return PromptPlan(loras, _variants(tracks, field))


def _weight_at_end(text: str) -> tuple[float, str]:
    before, colon, number = text.rpartition(":")
    if colon and _WEIGHT.fullmatch(number.strip()):
        return max(-attention.LARGEST_WEIGHT, min(attention.LARGEST_WEIGHT, float(number))), before.strip()
    return 1.0, text.strip()


def _track(weight: float, text: str, steps: int, done: int) -> Iterator[tuple[int, Subprompt]]:
    known: dict[str, Subprompt] = {}
    for step, shown in schedules.texts(text, steps, done):
        if shown not in known:
            known[shown] = Subprompt(weight, attention.pieces(shown))
        yield step, known[shown]


def _variants(tracks: list[Iterator[tuple[int, Subprompt]]], field: str) -> tuple[Variant, ...]:
    changes: dict[int, dict[int, Subprompt]] = {}
    different: set[int] = set()
    for position, track in enumerate(tracks):
        for step, subprompt in track:
            changes.setdefault(step, {})[position] = subprompt
            different.add(id(subprompt))
            if len(different) > MOST_TEXTS:
                raise Invalid(field, f"changes into more than {MOST_TEXTS} texts; use fewer options or schedules")
    current: dict[int, Subprompt] = {}
    variants = []
    for step in sorted(changes):
        current = current | changes[step]
        variants.append(Variant(step, tuple(current[position] for position in range(len(tracks)))))
    return tuple(variants)
