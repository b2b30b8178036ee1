"""What a server refuses to draw or to show: a list of denied words, and a checker of finished pictures.

Both are the operator's choice and come from mounted files. A picture that the checker objects to is blurred beyond
recognition rather than left out, so that a request has as many pictures as it asked for, and it is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webui_image.engine.files import check_weights
from webui_image.engine.loading import first_line
from webui_image.values.errors import Invalid, ModelError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from webui_image.values.generation import Generation

__all__ = ["DenyList", "PictureChecker", "SafetyPolicy", "load_policy"]


class DenyList:
    """Words and phrases, one a line in a file, that no prompt may contain; upper and lower case are the same."""

    def __init__(self, lines: Sequence[str]) -> None:
        phrases = [" ".join(line.split()) for line in lines if line.strip() and not line.lstrip().startswith("#")]
        words = "|".join(re.escape(phrase).replace(r"\ ", r"\W+") for phrase in phrases)
        self._pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if phrases else None

    @classmethod
    def read(cls, path: Path) -> DenyList:
        """Read the file. Raises ModelError where it cannot be read."""
        try:
            return cls(path.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(str(path), f"the list of denied words cannot be read: {first_line(error)}") from error

    def denies(self, text: str) -> bool:
        """Tell whether the text contains a denied word; brackets and weights between letters do not hide one."""
        if self._pattern is None:
            return False
        return bool(self._pattern.search(text) or self._pattern.search(re.sub(r"[()\[\]{}\\]", "", text)))


class PictureChecker:
    """Stable Diffusion's own checker, from a mounted directory of safetensors with its preprocessor configuration."""

    def __init__(self, directory: Path) -> None:
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        if not (directory / "config.json").is_file():
            raise ModelError(str(directory), "no config.json: not the directory of a safety checker")
        variant = check_weights(directory, prefer_half=False)
        extractor = directory / "preprocessor_config.json"
        try:
            self._checker: Any = StableDiffusionSafetyChecker.from_pretrained(
                str(directory), local_files_only=True, use_safetensors=True, variant=variant
            ).eval()
            self._processor: Any = (
                CLIPImageProcessorPil.from_pretrained(str(directory), local_files_only=True)
                if extractor.is_file()
                else CLIPImageProcessorPil()
            )
        except Exception as error:  # whatever the libraries raise about a file, the file is what is wrong
            raise ModelError(str(directory), f"the safety checker cannot be loaded: {first_line(error)}") from error

    def objects(self, images: Sequence[Image.Image]) -> list[bool]:
        """Tell of each picture whether the checker objects to it."""
        import numpy as np
        import torch

        pixels = self._processor(list(images), return_tensors="pt").pixel_values
        copies: list[np.ndarray[Any, Any]] = [np.zeros((1, 1, 3)) for _ in images]
        with torch.inference_mode():
            _, found = self._checker(images=copies, clip_input=pixels)
        return [bool(each) for each in found]


@dataclass(frozen=True, slots=True)
class SafetyPolicy:
    """What applies to all requests. Everything left out: nothing is refused and nothing is hidden."""

    denied: DenyList | None = None
    objects: Callable[[Sequence[Image.Image]], list[bool]] | None = None
    hidden: Callable[[], None] = lambda: None  # called once for each picture that was hidden

    def check(self, generation: Generation) -> None:
        """Raise Invalid for a request whose prompt is denied, without saying which word it was."""
        hires = generation.hires
        texts = {"prompt": generation.prompt, "hr_prompt": hires.prompt if hires is not None else ""}
        for field, text in texts.items():
            if self.denied is not None and self.denied.denies(text):
                raise Invalid(field, "this server does not draw that")

    def show(self, image: Image.Image) -> Image.Image:
        """Give the picture, or what is shown instead of it."""
        if self.objects is None or not self.objects([image])[0]:
            return image
        from PIL import ImageFilter

        self.hidden()
        rough = image.convert("RGB").resize((4, 4)).resize(image.size)
        return rough.filter(ImageFilter.GaussianBlur(max(image.size) / 16))


def load_policy(
    deny_file: Path | None = None, checker_dir: Path | None = None, hidden: Callable[[], None] = lambda: None
) -> SafetyPolicy:
    """Load what is configured. Raises ModelError; takes a second or more where there is a checker."""
    return SafetyPolicy(
        denied=DenyList.read(deny_file) if deny_file is not None else None,
        objects=PictureChecker(checker_dir).objects if checker_dir is not None else None,
        hidden=hidden,
    )
