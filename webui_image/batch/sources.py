"""The pictures that image-to-image starts from: read when they are needed, and a few kept for the next ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from webui_image.batch.parameters import Picture
from webui_image.batch.parameters.files import Files
from webui_image.batch.parameters.limits import LARGEST_SIDE, MOST_PIXELS, PICTURE_BYTES
from webui_image.batch.parameters.problems import Wrong
from webui_image.values.errors import Invalid
from webui_image.values.generation import Generation, Mask, Source

if TYPE_CHECKING:
    from PIL import Image

_KEPT = 8


class Sources:
    """Opens what a parameters file names."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._opened = lru_cache(_KEPT)(self._open)

    def complete(self, picture: Picture) -> Generation:
        """Give the picture's request with its source opened. Raises Invalid, naming image or mask."""
        source = picture.source
        if source is None:
            return picture.generation
        mask = None
        if source.mask is not None:
            opened = self._opened(source.mask.path, source.mask.sha256, "mask")
            mask = Mask(
                opened,
                source.mask.blur,
                source.mask.fill,
                source.mask.only_masked,
                source.mask.padding,
                source.mask.invert,
            )
        image = self._opened(source.path, source.sha256, "image")
        return replace(picture.generation, source=Source(image, source.denoising_strength, source.resize_mode, mask))

    def _open(self, path: str, sha256: str, field: str) -> Image.Image:
        from webui_image.pictures import decode
        from webui_image.pictures.limits import PictureLimits

        try:
            content = self._files.read(path, PICTURE_BYTES)
        except Wrong as wrong:
            raise Invalid(field, f"{wrong.message}; {wrong.remedy}") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Invalid(field, f"{path!r} was changed while the batch ran; run it again")
        limits = PictureLimits(encoded_bytes=PICTURE_BYTES, pixels=2 * MOST_PIXELS, side=2 * LARGEST_SIDE)
        opened = decode.mask if field == "mask" else decode.picture
        return opened(content, field=f"{field} {path!r}", limits=limits)
