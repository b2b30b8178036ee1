"""Files made to break the reader: bombs, lies, damage."""

import base64
import contextlib
import io
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from webui_image.pictures import decode, png_info
from webui_image.values.errors import Invalid, TooLarge, WebUIError

MIB = 2**20


@pytest.fixture(scope="session")
def least_time(least_seconds):
    """Give a function that gives the seconds of one core that a call takes; it may fail as users are told."""

    def measure(call):
        def suppressed():
            with contextlib.suppress(WebUIError):
                call()

        return least_seconds(suppressed, within=0.05)

    return measure


def jpeg_of(width, height, original):
    at = original.index(b"\xff\xc0") + 5
    return original[:at] + struct.pack(">HH", height, width) + original[at + 4 :]


def webp_canvas(width, height, *chunks):
    header = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + (width - 1).to_bytes(3, "little")
    content = b"WEBP" + header + (height - 1).to_bytes(3, "little") + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def packed_text(kind, head, size):
    return kind, head + zlib.compress(b"a" * size)


@pytest.mark.parametrize("read", [decode.picture, decode.mask, decode.as_is], ids=lambda read: read.__name__)
def test_a_picture_of_900_megapixels_is_refused_at_once(make, files, read, least_time):
    """30,000 x 30,000 in any kind of file: 50 ms, a few kilobytes, and the size in the answer."""
    sent = [
        make.png_of(30_000, 30_000),
        jpeg_of(30_000, 30_000, files["JPEG"]),
        webp_canvas(30_000, 30_000),
        b"RIFF\x20\0\0\0WEBPVP8 \x10\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383) + bytes(6),
        b"RIFF\x20\0\0\0WEBPVP8L\x10\0\0\0\x2f\xff\xff\xff\x0f" + bytes(11),
    ]
    for data in sent:
        assert least_time(lambda data=data: read(data, field="image")) < 0.05
        tracemalloc.start()
        with pytest.raises(TooLarge, match=r"image: is (30000 x 30000|16383 x 16383|16384 x 16384);"):
            read(data, field="image")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MIB


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        pytest.param(b"zTXt", b"parameters\0\0", id="zTXt"),
        pytest.param(b"iTXt", b"parameters\0\1\0\0\0", id="iTXt"),
        pytest.param(b"iCCP", b"profile\0\0", id="iCCP"),
    ],
)
def test_texts_that_unpack_to_gigabytes_cost_nothing(make, kind, head, least_time):
    """A picture with ten texts that unpack to 64 MiB each is read; its texts are read as far as the limit."""
    sent = make.png_of(8, 8, *[make.chunk(*packed_text(kind, head, 64 * MIB))] * 10)
    assert least_time(lambda: decode.picture(sent, field="image")) < 0.05
    assert least_time(lambda: png_info.read(sent)) < 0.05
    assert decode.picture(sent, field="image").size == (8, 8)
    assert len(png_info.read(sent).text) <= 400_000


def test_many_texts_are_bounded(make):
    """Of ten thousand texts the first are read."""
    texts = [make.chunk(b"tEXt", b"key%d\0%s" % (number, b"x" * 100)) for number in range(10_000)]
    info = png_info.read(make.png_of(8, 8, *texts))
    assert len(info.items) == 64
    assert info.items["key0"] == "x" * 100


def test_a_picture_that_unpacks_to_more_than_its_size_is_read(make, least_time):
    """The bytes behind the last pixel are never unpacked."""
    header = make.chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    bomb = make.chunk(b"IDAT", zlib.compress(bytes(200 * MIB)))
    sent = b"\x89PNG\r\n\x1a\n" + header + bomb + make.chunk(b"IEND", b"")
    assert least_time(lambda: decode.picture(sent, field="image")) < 0.05
    assert decode.picture(sent, field="image").size == (8, 8)


def test_a_file_of_a_million_chunks_is_refused(make, least_time):
    """Sixteen MiB of empty chunks are not walked to their end."""
    sent = make.png_of(8, 8, *[make.chunk(b"tEXt", b"")] * MIB)
    with pytest.raises(Invalid, match="image: is a file that has more than 20000 parts"):
        decode.picture(sent, field="image")
    assert least_time(lambda: decode.picture(sent, field="image")) < 0.05


def test_a_jpeg_of_a_thousand_scans_is_refused(make, picture):
    """Each scan of a progressive JPEG costs a pass over all pixels; bombs have thousands."""
    sent = make.saved(picture, "JPEG", progressive=True)
    last = sent.rindex(b"\xff\xda")
    with pytest.raises(Invalid, match=r"1 frames and 10.. scans; one and at most 32 are read"):
        decode.picture(sent[:last] + sent[last:-2] * 1000 + b"\xff\xd9", field="image")


def test_a_jpeg_of_two_frames_is_refused(files):
    """Which of two sizes holds would be the decoder's choice."""
    sent = files["JPEG"]
    frame = sent[sent.index(b"\xff\xc0") : sent.index(b"\xff\xc4")]
    with pytest.raises(Invalid, match="2 frames"):
        decode.picture(sent.replace(frame, frame + jpeg_of(9999, 9999, frame)), field="image")


def test_an_animation_of_frames_larger_than_its_canvas_is_refused(files):
    """The canvas's size is believed, and a frame that does not fit into it is an error."""
    frame = files["WEBP lossless"][12:]
    content = bytes(6) + (23).to_bytes(3, "little") + (15).to_bytes(3, "little") + bytes(4) + frame
    sent = webp_canvas(
        4, 4, b"ANIM" + struct.pack("<I", 6) + bytes(6), b"ANMF" + struct.pack("<I", len(content)) + content
    )
    with pytest.raises(Invalid, match="image: is a file that cannot be decoded"):
        decode.picture(sent, field="image")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_files_that_break_off_are_refused(file, share):
    """A file whose end is missing is no picture, wherever it ends."""
    with pytest.raises(Invalid, match=r"^image: is "):
        decode.picture(file[: int(len(file) * share)], field="image")


def test_the_first_frame_of_an_animation_is_read(files, picture):
    """The frames behind it are not even looked at."""
    assert decode.picture(files["PNG animated"], field="image").tobytes() == picture.tobytes()
    frames = decode.containers.take_apart(files["WEBP animated"]).picture
    assert Image.open(io.BytesIO(frames)).n_frames == 1


def test_a_size_of_zero_is_refused(make, files):
    """A header that says nothing is to be seen is a lie."""
    for sent in (make.png_of(0, 8), jpeg_of(8, 0, files["JPEG"])):
        with pytest.raises(Invalid, match=r"image: says that it is . x . pixels"):
            decode.picture(sent, field="image")


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_told_or_survived(files, data):
    """Bytes changed, lost or added anywhere give a picture or an error that names the field, without a warning."""
    damaged = bytearray(files[data.draw(st.sampled_from(sorted(files)))])
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(damaged)))
        match data.draw(st.sampled_from(["change", "remove", "insert", "end"])):
            case "change":
                damaged[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
            case "remove":
                del damaged[at : at + data.draw(st.integers(1, 16))]
            case "insert":
                damaged[at:at] = data.draw(st.binary(min_size=1, max_size=16))
            case "end":
                del damaged[at:]
    for read in (decode.picture, decode.mask, png_info.read):
        try:
            read(bytes(damaged), field="there")
        except Invalid as problem:
            assert problem.field == "there"
            assert len(str(problem)) < 300


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_anything_sent_is_answered(sent):
    """Whatever is sent, the answer names the field."""
    with pytest.raises(Invalid, match=r"^there: "):
        decode.picture(sent, field="there")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"x" * 12 * MIB, "is not a picture", id="rubbish"),
        pytest.param(b"\xff\xd8" + b"\xff" * 2 * MIB, "breaks off too early", id="JPEG of filling"),
        pytest.param(b"\xff\xd8\xff\xd0" + b"\xff\xd0" * MIB, "more than 20000 parts", id="JPEG of restarts"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(2 * MIB), "does not begin with its header", id="PNG of zeros"),
        pytest.param(b"RIFF\0\0\0\0WEBP" + bytes(2 * MIB), "does not begin with its header", id="WEBP of zeros"),
    ],
)
def test_megabytes_of_nothing_are_refused_at_once(data, message, least_time):
    """As base64, in lines or not, within 50 ms of one core."""
    text = base64.b64encode(data).decode()
    for sent in (text, f"{text[:76]}\n{text[76:]}"):
        with pytest.raises(Invalid, match=message):
            decode.picture(sent, field="image")
        assert least_time(lambda sent=sent: decode.picture(sent, field="image")) < 0.05


def test_blanks_are_no_picture():
    """Ten million of them neither."""
    with pytest.raises(Invalid, match="image: is empty"):
        decode.picture(" \n" * 5_000_000, field="image")
