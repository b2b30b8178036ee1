"""How large a picture that somebody sends may be."""

from __future__ import annotations

from dataclasses import dataclass

from webui_image.values.errors import Invalid, TooLarge


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """Bounds that hold before anything is decoded. The defaults take 2048 x 2048 from a camera or another UI."""

    encoded_bytes: int = 16 * 2**20
    pixels: int = 2048 * 2048
    side: int = 8192

    def check_bytes(self, size: int, *, field: str) -> None:
        """Raise TooLarge if an encoded picture has more bytes than are accepted."""
        if size > self.encoded_bytes:
            raise TooLarge(field, f"has {size} bytes; {self.encoded_bytes} are accepted; send a smaller picture")

    def check_size(self, width: int, height: int, *, field: str) -> None:
        """Raise TooLarge if a picture has too many pixels or too long a side, Invalid if it has none."""
        if width < 1 or height < 1:
            raise Invalid(field, f"says that it is {width} x {height} pixels; send the file anew, it is damaged")
        if width > self.side or height > self.side or width * height > self.pixels:
            raise TooLarge(
                field,
                f"is {width} x {height}; {self.pixels} pixels and sides of {self.side} are accepted; "
                "send a smaller picture",
            )
