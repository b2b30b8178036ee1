"""Pictures as files, with the text that tells how they were made, and that text read back."""

import base64
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from webui_image.pictures import decode, encode, png_info
from webui_image.values.errors import Invalid, TooLarge

TEXT = 'a "cat", asleep\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, Seed: 1'
SAVERS = {"PNG": encode.png, "JPEG": encode.jpeg, "WEBP": encode.webp}


@pytest.fixture(params=SAVERS)
def kind(request):
    """Give each kind of file in turn."""
    return request.param


def test_the_text_comes_back(picture, kind):
    """From bytes, from base64, from a data: URI and from an opened picture."""
    data = SAVERS[kind](picture, infotext=TEXT)
    text = encode.to_base64(data)
    for sent in (data, text, f"data:image/{kind.lower()};base64,{text}", Image.open(io.BytesIO(data))):
        assert png_info.read(sent).text == TEXT


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_any_text_comes_back(picture, text):
    """In any script, in every kind of file."""
    for save in SAVERS.values():
        assert png_info.read(save(picture, infotext=text)).text.rstrip("\0") == text.rstrip("\0")


def test_half_characters_do_not_stop_the_picture(picture, kind):
    """JSON can carry a lone surrogate, a file cannot: it becomes a question mark."""
    assert png_info.read(SAVERS[kind](picture, infotext="a\ud800b")).text == "a?b"


@pytest.mark.parametrize(("text", "chunk"), [("hällo", b"tEXtparameters"), ("日本", b"iTXtparameters")])
def test_png_text_is_latin_1_where_it_can_be(picture, text, chunk):
    """A1111's choice: tEXt for Latin-1, iTXt for everything else."""
    assert chunk in encode.png(picture, text)


def test_pictures_without_a_text_have_none(picture, kind):
    """No text is not an empty text."""
    assert png_info.read(SAVERS[kind](picture)) == ("", {})


def test_png_keeps_every_pixel(picture):
    """At every level of packing, which changes nothing but the size."""
    for level in (0, 1, 9):
        assert decode.picture(encode.png(picture, level=level), field="image").tobytes() == picture.tobytes()
    noise = Image.effect_noise((256, 256), 20)
    assert len(encode.png(noise, level=9)) < len(encode.png(noise, level=1)) < len(encode.png(noise, level=0))


def test_base64_is_raw(picture):
    """A1111's clients decode it as it stands: no prefix, no line breaks."""
    assert base64.b64decode(encode.base64_png(picture, TEXT), validate=True) == encode.png(picture, TEXT)


def test_jpeg_has_no_transparency():
    """Transparent parts are white."""
    found = decode.picture(encode.jpeg(Image.new("RGBA", (8, 8))), field="image")
    assert found.getpixel((4, 4)) == (255, 255, 255)


def test_texts_too_long_for_exif_are_refused(picture):
    """JPEG and WEBP cannot hold them, PNG can; nothing is cut off without a word."""
    for save in (encode.jpeg, encode.webp):
        with pytest.raises(TooLarge, match="infotext: is too long for JPEG and WEBP"):
            save(picture, infotext="a" * 33_000)
    assert png_info.read(encode.png(picture, "a" * 33_000)).text == "a" * 33_000


@pytest.mark.parametrize(
    ("comment", "order", "text"),
    [
        pytest.param(b"UNICODE\0" + "a cat".encode("utf-16-be"), "MM", "a cat", id="big-endian"),
        pytest.param(
            b"UNICODE\0" + "a cat".encode("utf-16-be"), "II", "a cat", id="big-endian in a little-endian file"
        ),
        pytest.param(b"UNICODE\0" + "a cat".encode("utf-16-le"), "II", "a cat", id="little-endian"),
        pytest.param(b"ASCII\0\0\0a cat", "II", "a cat", id="ASCII"),
        pytest.param(b"\0" * 8 + b"a cat\0\0", "MM", "a cat", id="undefined, with padding"),
        pytest.param("no code: é".encode(), "MM", "no code: é", id="without a code"),
    ],
)
def test_texts_that_other_programs_write_are_read(make, picture, comment, order, text):
    """The standard leaves byte order and code open, and programs differ."""
    way = "big" if order == "MM" else "little"

    def number(value, size):
        return value.to_bytes(size, way)

    def entry(tag, kind, count, value):
        return number(tag, 2) + number(kind, 2) + number(count, 4) + number(value, 4)

    exif = order.encode() + number(42, 2) + number(8, 4) + number(1, 2) + entry(0x8769, 4, 1, 26) + number(0, 4)
    exif += number(1, 2) + entry(0x9286, 7, len(comment), 44) + number(0, 4) + comment
    assert png_info.read(make.saved(picture, "JPEG", exif=b"Exif\0\0" + exif)).text == text


def test_other_texts_are_items(make, picture):
    """What else a picture says is shown beside the parameters."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", "mine")
    info.add_text("Software", "other")
    info.add_text("packed", "x" * 99, zip=True)
    info.add_itxt("note", "日本", zip=True)
    found = png_info.read(make.saved(picture, "PNG", pnginfo=info))
    assert found == ("mine", {"Software": "other", "packed": "x" * 99, "note": "日本"})
    assert png_info.read(make.saved(picture, "JPEG", comment=b"hello")).items == {"comment": "hello"}


def test_what_is_no_picture_is_refused():
    """Reading texts needs no pixel, but a picture it must be."""
    with pytest.raises(Invalid, match="image: is not a picture that can be read; send a PNG, JPEG or WEBP file"):
        png_info.read(b"GIF89a")
    with pytest.raises(Invalid, match="image: is a http address"):
        png_info.read("http://example.com/a.png")
