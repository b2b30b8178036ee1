"""Pictures that clients send, and what is read from them."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from webui_image.pictures import decode
from webui_image.pictures.limits import PictureLimits
from webui_image.values.errors import Invalid, TooLarge


def largest_difference(one, two):
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(two, dtype=int)).max())


def test_every_kind_of_file_is_read_as_pillow_shows_it(file):
    """Size and colours are those of the file, with nothing lost by leaving its other parts out."""
    found = decode.as_is(file, field="image")
    shown = Image.open(io.BytesIO(file))
    assert found.size == shown.size
    assert found.mode in {"L", "RGB", "RGBA"}
    if not shown.mode.startswith("I"):
        assert largest_difference(found.convert("RGBA"), shown.convert("RGBA")) == 0


def test_every_kind_of_file_becomes_rgb_and_a_mask(file):
    """Whatever the file has, a picture is RGB and a mask is grey."""
    assert decode.picture(file, field="image").mode == "RGB"
    assert decode.mask(file, field="mask").mode == "L"


def test_sixteen_bits_of_grey_are_scaled(files):
    """The brightest value of 65,535 is white, and the middle is grey."""
    pixels = np.asarray(decode.as_is(files["PNG grey, 16 bits"], field="image")).ravel()
    assert pixels[0] == 0
    assert pixels[len(pixels) // 2] == (len(pixels) // 2) * 170 >> 8
    assert pixels[-1] == 383 * 170 >> 8


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda text: text, id="raw"),
        pytest.param(lambda text: f"data:image/png;base64,{text}", id="data URI"),
        pytest.param(lambda text: f" DATA:image/png;charset=x;BASE64,{text}", id="data URI in capitals"),
        pytest.param(lambda text: "\n".join(text[at : at + 76] for at in range(0, len(text), 76)), id="in lines"),
        pytest.param(lambda text: text.rstrip("="), id="without padding"),
    ],
)
def test_every_way_of_writing_base64_is_read(files, picture, wrap):
    """Clients send raw base64 or data URIs, with and without line breaks and padding."""
    text = base64.b64encode(files["PNG"] + b"\0").decode()
    assert text.endswith("=")
    assert decode.picture(wrap(text), field="image").tobytes() == picture.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(make, picture, kind, orientation):
    """A picture taken with the camera turned comes out upright, as Pillow turns it."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    sent = make.saved(picture, kind, exif=exif.tobytes(), **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(sent)))
    found = decode.picture(sent, field="image")
    assert found.size == ((16, 24) if orientation >= 5 else (24, 16))
    assert found.tobytes() == upright.tobytes()


def test_transparent_parts_become_white(make):
    """A picture to start from has no transparency: half transparent black is grey, as in A1111."""
    image = Image.new("RGBA", (2, 1))
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 128))
    found = decode.picture(make.saved(image, "PNG"), field="image")
    assert [found.getpixel((column, 0)) for column in (0, 1)] == [(255, 255, 255), (127, 127, 127)]


@pytest.mark.parametrize(
    ("pixels", "mask"),
    [
        pytest.param(
            [(255, 255, 255, 0), (0, 0, 0, 128), (0, 0, 0, 129)], [0, 0, 255], id="alpha, where there is some"
        ),
        pytest.param([(255, 255, 255, 255), (0, 0, 0, 255), (128, 128, 128, 255)], [255, 0, 128], id="else brightness"),
    ],
)
def test_a_mask_is_read_as_a1111_reads_it(make, pixels, mask):
    """Alpha decides where something is transparent, brightness where nothing is."""
    image = Image.new("RGBA", (len(pixels), 1))
    image.putdata(pixels)
    found = decode.mask(make.saved(image, "PNG"), field="mask")
    assert [found.getpixel((column, 0)) for column in range(len(mask))] == mask


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        pytest.param(PictureLimits(encoded_bytes=50), "init_images[0]: has ", id="bytes"),
        pytest.param(PictureLimits(pixels=24 * 16 - 1), "init_images[0]: is 24 x 16; 383 pixels", id="pixels"),
        pytest.param(PictureLimits(side=23), "init_images[0]: is 24 x 16; 4194304 pixels and sides of 23", id="side"),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "WEBP lossless", "WEBP alpha"])
def test_pictures_beyond_the_limits_are_refused(files, limits, message, kind):
    """Every kind of file says its size in its header, and that is believed before anything is decoded."""
    for sent in (files[kind], base64.b64encode(files[kind]).decode()):
        with pytest.raises(TooLarge) as problem:
            decode.picture(sent, field="init_images[0]", limits=limits)
        assert str(problem.value).startswith(message)
        assert str(problem.value).endswith("send a smaller picture")


def test_pictures_at_the_limits_are_read(files):
    """The limits themselves are within."""
    limits = PictureLimits(encoded_bytes=len(files["PNG"]), pixels=24 * 16, side=24)
    assert decode.picture(base64.b64encode(files["PNG"]).decode(), field="image", limits=limits).size == (24, 16)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        pytest.param(
            "http://169.254.169.254/latest", "is a http address; nothing is fetched here: send a PNG", id="http"
        ),
        pytest.param("HTTPS://example.com/a.png", "is a https address; nothing is fetched here", id="https"),
        pytest.param("file:///etc/passwd", "is a file address; nothing is fetched here", id="file"),
        pytest.param("  gs://bucket/a.png", "is a gs address; nothing is fetched here", id="bucket"),
        pytest.param("C:\\a.png", "is a c address; nothing is fetched here", id="drive"),
        pytest.param("data:image/png,abc", "is a data: URI without ;base64, in it", id="data URI that is not base64"),
        pytest.param("data:image/png;base64", "is a data: URI without ;base64, in it", id="data URI without data"),
        pytest.param("/etc/passwd", "is not ", id="path"),
        pytest.param("not base64!", "is not base64 (", id="not base64"),
        pytest.param("日本", "is not base64 (", id="not ASCII"),
        pytest.param("", "is empty; send a PNG", id="empty"),
        pytest.param("data:image/png;base64,", "is empty", id="empty data URI"),
        pytest.param(base64.b64encode(b"GIF89a" + bytes(99)).decode(), "is not a picture that can be read", id="GIF"),
        pytest.param(base64.b64encode(b"<svg/>").decode(), "is not a picture that can be read; send a PNG", id="SVG"),
        pytest.param(b"%PDF-1.7", "is not a picture that can be read", id="PDF"),
        pytest.param(b"RIFF\0\0\0\0AVI ", "is not a picture that can be read", id="another RIFF file"),
    ],
)
def test_what_is_no_picture_is_refused(sent, message):
    """The field is named, with what is wrong and what to send instead."""
    with pytest.raises(Invalid) as problem:
        decode.picture(sent, field="init_images[0]")
    assert str(problem.value).startswith(f"init_images[0]: {message}")
