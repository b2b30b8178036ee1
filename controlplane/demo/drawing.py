"""One picture, asked for until it is there: what the page does, and what every client of such a service should do.

A replica on a Spot GPU may go away in the middle of a picture. The client draws the seed itself, so it can send the
very same request again, to whichever replica the load balancer has by then, and gets the same picture. It does so when
the connection breaks, when an answer says 429, 502, 503 or 504, and when a stream ends early or with an error that says
`retry`; anything else is an error at once.
"""

import base64
import http.client
import json
from dataclasses import dataclass
from typing import Any

from controlplane.clock import Clock, jitter
from controlplane.demo.traffic import PLACE_HEADER, place_in

ATTEMPTS = 12
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0  # seconds
TIMEOUT = 60.0  # seconds without a byte
_RETRIED = {429, 502, 503, 504}
_PNG = b"\x89PNG\r\n\x1a\n"


class GivenUp(Exception):  # noqa: N818 - what became of a wish, not a fault of the program
    """The picture did not come; the message says why."""


class _Again(Exception):  # noqa: N818
    """The request is worth sending again, after so many seconds at least."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True, slots=True)
class Wish:
    """A picture to be drawn, and through which of the two APIs it is asked for."""

    prompt: str
    seed: int
    streamed: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that came: the PNG, who drew it (region, GPU type, capacity type), after how many attempts."""

    wish: Wish
    png: bytes
    place: str
    attempts: int
    seconds: float


class Painter:
    """Asks a service for pictures, one after the other."""

    def __init__(self, address: str, clock: Clock) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port or 80)
        self._clock = clock

    def draw(self, wish: Wish) -> Picture:
        """Give the picture. Raises GivenUp when it cannot be had."""
        begun, pause, why = self._clock.monotonic(), FIRST_PAUSE, ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                place, png = self._ask(wish)
            except _Again as again:
                why = str(again)
                self._clock.sleep(max(again.after, min(pause, LONGEST_PAUSE)) * jitter(0.3))
                pause *= 2
            else:
                return Picture(wish, png, place, attempt, self._clock.monotonic() - begun)
        raise GivenUp(f"{wish.prompt!r}: {why}, {ATTEMPTS} times")

    def _ask(self, wish: Wish) -> tuple[str, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        path, body = ("/api/generate", _streamed(wish)) if wish.streamed else ("/sdapi/v1/txt2img", _a1111(wish))
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise _refused(response)
            png = _from_stream(response) if wish.streamed else _from_a1111(response.read())
            place = place_in(response.headers.get(PLACE_HEADER, ""), b"")
        except (OSError, http.client.HTTPException) as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        except (ValueError, LookupError, TypeError) as error:
            raise GivenUp(f"{wish.prompt!r}: an answer that cannot be read: {error}") from error
        finally:
            connection.close()
        if not png.startswith(_PNG):
            raise GivenUp(f"{wish.prompt!r}: what came is not a PNG: {png[:20]!r}")
        return place, png


def _streamed(wish: Wish) -> dict[str, Any]:
    """Ask with what the model draws best with."""
    return {"prompt": wish.prompt, "seed": wish.seed, "previews": False}


def _a1111(wish: Wish) -> dict[str, Any]:
    return {
        "prompt": wish.prompt,
        "seed": wish.seed,
        "steps": 12,
        "cfg_scale": 2.5,
        "width": 64,
        "height": 64,
        "sampler_name": "DPM++ 2M",
    }


def _from_a1111(body: bytes) -> bytes:
    return base64.b64decode(json.loads(body)["images"][0])


def _from_stream(response: http.client.HTTPResponse) -> bytes:
    for text in response:
        if not text.endswith(b"\n"):
            break
        line = json.loads(text)
        if line["type"] == "picture" and not line["partial"]:
            return base64.b64decode(line["png"])
        if line["type"] == "error":
            if not line["retry"]:
                raise GivenUp(line["message"])
            raise _Again(f"{line['code']}: {line['message']}", float(line.get("retry_after") or 0))
    raise _Again("the stream ended early")


def _refused(response: http.client.HTTPResponse) -> Exception:
    text = f"status {response.status}: {response.read()[:120]!r}"
    if response.status not in _RETRIED:
        return GivenUp(text)
    told = response.headers.get("Retry-After", "")
    return _Again(text, min(float(told), LONGEST_PAUSE) if told.isdigit() else 0.0)
