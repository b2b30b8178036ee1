"""A picture is asked for until it is there, with the same seed, and a failure is a failure."""

import base64
import io
import json
import threading

import pytest
from PIL import Image

from controlplane.demo.drawing import ATTEMPTS, GivenUp, Painter, Wish
from controlplane.demo.gallery import SIDE, in_characters, save_sheet
from controlplane.demo.painting import KEPT_PICTURES, Painting
from controlplane.demo.stage import DemoError

HEADER = {"X-GPU-Hunter": "region=us-east4; accelerator=nvidia-l4; capacity=spot; version=1; pod=a"}
PLACE = "us-east4 nvidia-l4 spot"


class Impatient:
    """A clock whose waits take no time and are remembered."""

    def __init__(self):
        self.waits = []

    def monotonic(self):
        return 0.0

    def sleep(self, seconds):
        self.waits.append(seconds)


def png(colour="red"):
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "PNG")
    return file.getvalue()


def good(path, data=None):
    """Give the answer of either API that holds a picture."""
    text = base64.b64encode(png() if data is None else data).decode()
    if path == "/sdapi/v1/txt2img":
        return 200, HEADER, json.dumps({"images": [text], "parameters": {}, "info": "{}"}).encode()
    assert path == "/api/generate"
    return 200, HEADER, lines({"type": "picture", "partial": False, "png": text}, {"type": "done"})


def lines(*values):
    return b"".join(json.dumps(value).encode() + b"\n" for value in ({"type": "accepted"}, *values))


@pytest.fixture(params=[True, False], ids=["stream", "a1111"])
def wish(request):
    return Wish("a red circle", 7, streamed=request.param)


TROUBLES = {
    "cut": lambda _path: None,
    "503": lambda _path: (503, {"Retry-After": "1"}, b"{}"),
    "502": lambda _path: (502, {}, b"bad gateway"),
    "429": lambda _path: (429, {"Retry-After": "2"}, b"{}"),
    "half-an-answer": lambda path: (200, {**HEADER, "Content-Length": "9999"}, good(path)[2][:10]),
}
STREAM_TROUBLES = {
    "ends-early": lines({"type": "step"}),
    "handed-back": lines(
        {"type": "error", "code": "handed_back", "message": "going", "retry": True, "retry_after": 0.1}
    ),
    "half-a-picture": lines({"type": "picture", "partial": True, "png": ""}),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_picture_comes_although_its_first_replica_goes(server, wish, trouble):
    """The same body is sent again and the picture that comes is counted to who drew it."""
    server.answer = lambda number, path, _body: TROUBLES[trouble](path) if number < 2 else good(path)
    picture = Painter(server.address, Impatient()).draw(wish)
    assert (picture.png, picture.place, picture.attempts) == (png(), PLACE, 3)
    assert len(set(server.bodies)) == 1
    assert json.loads(server.bodies[0])["seed"] == 7


@pytest.mark.parametrize("trouble", STREAM_TROUBLES)
def test_a_stream_that_ends_without_its_picture_is_asked_for_again(server, trouble):
    """A stream that breaks off, or is handed back, is no answer."""
    server.answer = lambda number, path, _body: (200, HEADER, STREAM_TROUBLES[trouble]) if number == 0 else good(path)
    assert Painter(server.address, Impatient()).draw(Wish("a", 1, streamed=True)).attempts == 2


def test_the_server_says_how_long_to_wait(server, wish):
    """Retry-After is the least that is waited."""
    clock = Impatient()
    server.answer = lambda number, path, _body: (429, {"Retry-After": "3"}, b"") if number == 0 else good(path)
    Painter(server.address, clock).draw(wish)
    assert clock.waits[0] >= 3


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((422, {}, b'{"detail": "seed"}'), id="invalid"),
        pytest.param((500, {}, b"{}"), id="bug"),
        pytest.param((200, HEADER, b"<html>\n"), id="foreign"),
        pytest.param((200, {}, None), id="names-no-place"),
        pytest.param((200, HEADER, b"not a picture"), id="no-png"),
    ],
)
def test_what_is_wrong_for_good_is_not_asked_again(server, wish, answer):
    """One attempt, and the reason is told."""

    def reply(_number, path, _body):
        status, headers, body = answer
        if body is None:
            return status, headers, good(path)[2]
        return good(path, body) if body == b"not a picture" else answer

    server.answer = reply
    with pytest.raises(GivenUp, match=r"."):
        Painter(server.address, Impatient()).draw(wish)
    assert server.served == 1


def test_an_error_in_the_stream_that_is_final_ends_it(server):
    """A stream whose error cannot be retried fails at once with the server's words."""
    line = {"type": "error", "code": "not_finite", "message": "the model gave no numbers", "retry": False}
    server.answer = lambda *_: (200, HEADER, lines(line))
    with pytest.raises(GivenUp, match="no numbers"):
        Painter(server.address, Impatient()).draw(Wish("a", 1, streamed=True))
    assert server.served == 1


def test_nobody_there_is_a_failure_in_the_end(wish):
    """After so many attempts the picture is given up, and the pauses have grown."""
    clock = Impatient()
    with pytest.raises(GivenUp, match=f"{ATTEMPTS} times"):
        Painter("127.0.0.1:1", clock).draw(wish)
    assert len(clock.waits) == ATTEMPTS
    assert clock.waits[0] < clock.waits[-1] < 10


def test_painters_count_and_keep_what_was_drawn(server, tmp_path):
    """Both APIs are used; pictures count to their places, some are kept, and the sheet shows a row for each place."""
    seen = set()
    enough = threading.Event()

    def answer(number, path, _body):
        seen.add(path)
        if number == 30:
            enough.set()
        return None if number == 3 else good(path)

    server.answer = answer
    painting = Painting(server.address, Impatient(), workers=1, pause=0.001)
    painting.start()
    assert enough.wait(60)
    tally = painting.stop()
    assert seen == {"/api/generate", "/sdapi/v1/txt2img"}
    assert (tally.failed, tally.again) == (0, 1)
    assert tally.regions == {PLACE: tally.ok}
    assert tally.ok == server.served - 1
    drawn = painting.pictures()
    assert len(drawn[PLACE]) == KEPT_PICTURES
    with Image.open(
        save_sheet(tmp_path / "a" / "sheet.png", {PLACE: drawn[PLACE], "elsewhere": drawn[PLACE][:1]})
    ) as sheet:
        assert sheet.height > 2 * SIDE
        reds = sum(count for count, colour in sheet.getcolors(maxcolors=1000) if colour == (255, 0, 0))
        assert reds == SIDE * SIDE * (KEPT_PICTURES + 1)


def test_a_painter_that_fails_says_why(server):
    """A refused request counts as failed, and its reason is kept."""
    server.answer = lambda *_: (422, {}, b"seed: too large")
    painting = Painting(server.address, Impatient(), workers=1, pause=0.001)
    painting.start()
    while server.served < 3:
        threading.Event().wait(0.005)
    tally = painting.stop()
    assert tally.ok == 0
    assert tally.failed >= 2
    assert "too large" in tally.errors[0]


def test_pictures_are_drawn_in_a_terminal(server):
    """Half blocks in the pictures' own colours, side by side."""
    server.answer = lambda _number, path, _body: good(path)
    picture = Painter(server.address, Impatient()).draw(Wish("a", 1, streamed=True))
    text = in_characters([picture, picture], side=4)
    assert text.plain == "\n".join(["▀▀▀▀  ▀▀▀▀"] * 2)
    assert {str(span.style) for span in text.spans} == {"#ff0000 on #ff0000"}


def test_a_sheet_that_cannot_be_written_is_one_line(tmp_path):
    """The line names the file and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match="--pictures"):
        save_sheet(tmp_path / "file" / "sheet.png", {})
