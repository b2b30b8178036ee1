"""From checked values to pictures: matrices multiplied, seeds drawn from the prompts, and what must fit together."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from webui_image.batch.parameters.entries import Context, Entry, Values, joined
from webui_image.batch.parameters.limits import LARGEST_SEED, LARGEST_SIDE, MOST_PICTURES, MOST_PIXELS, SMALLEST_SIDE
from webui_image.batch.parameters.pictures import MaskFile, Picture, SourceFile
from webui_image.batch.parameters.problems import Wrong
from webui_image.values.errors import Invalid
from webui_image.values.generation import Generation, HiresFix, Variation, final_size

_SAME_NAME = (
    "prompt",
    "negative_prompt",
    "clip_skip",
    "eta",
    "guidance_rescale",
    "seed_resize_from",
    "loras",
    "exact",
)
_ONLY_WITH_IMAGE = ("denoising_strength", "resize_mode", "mask")
_ONLY_WITH_MASK = ("mask_blur", "mask_fill", "mask_invert", "only_masked", "mask_padding")


@dataclass(slots=True)
class Resolver:
    """Counts pictures and repeated prompts over a whole file."""

    context: Context
    pictures: list[Picture] = field(default_factory=list)
    asked: int = 0
    _repeats: Counter[str] = field(default_factory=Counter)
    _names: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Add an entry's pictures; what does not fit is written down once for each entry."""
        combinations = 1
        for axis in entry.axes.values():
            combinations *= len(axis)
        before = self.asked
        self.asked += combinations * int(entry.values.given.get("count", 1))
        if self.asked > MOST_PICTURES:
            if before <= MOST_PICTURES:
                message = f"{self.asked:,} pictures up to here"
                remedy = f"ask for at most {MOST_PICTURES:,} in one file"
                self.context.problems.add(entry.file, entry.line, entry.key, message, remedy)
            return
        repeats: dict[str, int] = {}
        for values in _combinations(entry):
            try:
                self._combination(entry, values.given, repeats)
            except Wrong as wrong:
                file, line = values.places.get(wrong.key.partition(".")[0], (entry.file, entry.line))
                self.context.problems.add(file, line, joined(entry.key, wrong.key), wrong.message, wrong.remedy)

    def _combination(self, entry: Entry, values: dict[str, Any], repeats: dict[str, int]) -> None:
        if "prompt" not in values:
            raise Wrong("has no prompt", "write `prompt: ...` here or under defaults")
        prompt = values["prompt"]
        if prompt not in repeats:
            repeats[prompt] = self._repeats[prompt]
            self._repeats[prompt] += 1
        _check_together(entry, values)
        count = int(values.get("count", 1))
        generation = self._generation(values, repeats[prompt])
        _check_sizes(generation)
        source = self._source(values)
        if generation.seed + count - 1 > LARGEST_SEED:
            raise Wrong(f"{generation.seed} and {count} pictures go beyond {LARGEST_SEED}", "use a smaller one", "seed")
        for number in range(count):
            each = _numbered(generation, number) if number else generation
            self.pictures.append(Picture(len(self.pictures), entry.file, entry.line, each, source))

    def _generation(self, values: dict[str, Any], repeat: int) -> Generation:
        prompt = values["prompt"]
        given: dict[str, Any] = {name: values[name] for name in _SAME_NAME if name in values}
        given["model"] = self._model(values.get("model", ""))
        recommended = self.context.recommended(given["model"])
        given.setdefault("negative_prompt", recommended.negative_prompt)
        for name in ("width", "height", "steps", "cfg_scale", "sampler", "scheduler"):
            given[name] = values.get(name, getattr(recommended, name))
        if values.get("sampler") and "scheduler" not in values:
            given["scheduler"] = "Automatic"  # the recommended one belongs to the recommended sampler
        seed = values.get("seed", -1)
        given["seed"] = _derived(prompt, repeat) if seed == -1 else seed
        strength = values.get("variation_strength", 0.0)
        if strength:
            other = values.get("variation_seed", -1)
            given["variation"] = Variation(_derived(prompt, repeat, "variation") if other == -1 else other, strength)
        resize = values.get("seed_resize", {})  # A1111's two fields; -1 and 0 are its "not at all"
        if min(resize.get("w", 0), resize.get("h", 0)) > 0:
            given["seed_resize_from"] = (resize["w"], resize["h"])
        given["sampler"], given["scheduler"] = self._resolved(given["sampler"], given["scheduler"], "")
        if values.get("hires") is not None:
            given["hires"] = self._hires(values, given["sampler"], given["scheduler"])
        return Generation(**given)

    def _hires(self, values: dict[str, Any], sampler: str, scheduler: str) -> HiresFix:
        given = dict(values["hires"])
        if "denoising_strength" in values and "image" not in values:
            given.setdefault("denoising_strength", values["denoising_strength"])
        if given.get("sampler") or given.get("scheduler"):
            names = given.get("sampler") or sampler, given.get("scheduler") or scheduler
            given["sampler"], given["scheduler"] = self._resolved(*names, "hires.")
        return HiresFix(**given)

    def _model(self, name: str) -> str:
        try:
            return self.context.names.model(name) if name else ""
        except Invalid as error:
            raise _wrong(error, "model") from None

    def _resolved(self, sampler: str, scheduler: str, group: str) -> tuple[str, str]:
        names = self._names.get((sampler, scheduler))
        if names is not None:
            return names
        try:
            return self._names.setdefault((sampler, scheduler), self.context.names.resolve(sampler, scheduler))
        except Invalid as error:
            raise _wrong(error, f"{group}{error.field.removesuffix('_name')}") from None

    def _source(self, values: dict[str, Any]) -> SourceFile | None:
        path = values.get("image")
        if path is None:
            return None
        given: dict[str, Any] = {}
        if "denoising_strength" in values:
            given["denoising_strength"] = values["denoising_strength"]
        if "resize_mode" in values:
            given["resize_mode"] = values["resize_mode"]
        if values.get("mask") is not None:
            given["mask"] = self._mask(values)
        return SourceFile(path, self._digest(path, "image"), **given)

    def _mask(self, values: dict[str, Any]) -> MaskFile:
        names = {
            "mask_blur": "blur",
            "mask_fill": "fill",
            "only_masked": "only_masked",
            "mask_padding": "padding",
            "mask_invert": "invert",
        }
        given = {names[key]: values[key] for key in names if key in values}
        return MaskFile(values["mask"], self._digest(values["mask"], "mask"), **given)

    def _digest(self, path: str, key: str) -> str:
        try:
            return self.context.digests.of(path)
        except Wrong as wrong:
            raise Wrong(wrong.message, wrong.remedy, key) from None


def _wrong(error: Invalid, key: str) -> Wrong:
    message, _, remedy = error.message.partition("; ")
    return Wrong(message, remedy or "use another", key)


def _combinations(entry: Entry) -> Iterator[Values]:
    if not entry.axes:
        yield entry.values
        return
    for chosen in itertools.product(*entry.axes.values()):
        values = entry.values
        for part in chosen:
            values = part.over(values)
        yield values


def _numbered(generation: Generation, number: int) -> Generation:
    """Give picture `number` of a count, with A1111's rule: a variation keeps the seed and counts the other one."""
    if generation.variation is None:
        return replace(generation, seed=generation.seed + number)
    other = (generation.variation.seed + number) % (LARGEST_SEED + 1)
    return replace(generation, variation=replace(generation.variation, seed=other))


def _derived(prompt: str, repeat: int, what: str = "seed") -> int:
    """Give an open seed: the same in each run, and not changed by editing other entries or other settings."""
    digest = hashlib.sha256(f"{what}\0{repeat}\0{prompt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (LARGEST_SEED - MOST_PICTURES)


def _check_together(entry: Entry, values: dict[str, Any]) -> None:
    for key in _ONLY_WITH_IMAGE:
        second_pass = key == "denoising_strength" and values.get("hires") is not None
        if key in entry.own and "image" not in values and not second_pass:
            raise Wrong("means nothing without image", "name the picture to start from, or take it out", key)
    for key in _ONLY_WITH_MASK:
        if key in entry.own and "mask" not in values:
            raise Wrong("means nothing without mask", "name the mask's file, or take it out", key)


def _check_sizes(generation: Generation) -> None:
    width, height = generation.width, generation.height
    if width * height > MOST_PIXELS:
        raise Wrong(f"{width}x{height} is too large", f"use at most {MOST_PIXELS:,} pixels", "width")
    if generation.hires is not None:
        width, height = final_size(generation)
        if max(width, height) > LARGEST_SIDE or min(width, height) < SMALLEST_SIDE or width * height > MOST_PIXELS:
            remedy = f"sides of the result are {SMALLEST_SIDE} to {LARGEST_SIDE}, together {MOST_PIXELS:,} pixels"
            raise Wrong(f"the second pass makes {width}x{height}", remedy, "hires")
