"""Bounds on what a request may send and ask for, checked before anything is computed.

`BodyLimits` reads a body in bounded time and memory and refuses what would cost much to parse: it counts bytes as they
come (a client need not tell the length), counts commas and brackets before any value is made of them, and parses
strictly (no NaN, no depth beyond the parser's own bound). `check` holds a finished `Generation` against the limits;
both APIs use it, so that neither lets through what the other refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic_core import from_json
from starlette.responses import JSONResponse

from webui_image.clock import LARGEST_SEED
from webui_image.server.problems import Problem, invalid, problem
from webui_image.values.errors import Invalid, QueueFull, TooLarge
from webui_image.values.generation import Generation, final_size

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from webui_image.server.context import Context
    from webui_image.server.settings import Limits

_Refuse = Callable[[str, str], None]
_Within = Callable[[str, float | None, float, float], None]
_DISCARDED = 4  # times the largest body
_DISCARDING_SECONDS = 2.0
_RESERVED = 64 * 1024  # smaller bodies are not counted among those being read


class BodyLimits:
    """Reads each body whole, within the limits, and hands it on."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._limits = context.settings.limits
        self._reading = 0  # bytes of bodies held at present

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        held = [0]
        try:
            body = await self._read(scope, receive, held)
            if body is None:
                return
            found = check_json(body, self._limits) if body and _is_json(scope) else None
            if found is None:
                await self._app(scope, _replay(body, receive), send)
                return
        except (TooLarge, QueueFull) as error:
            await self._discard(receive)
            found = problem(error)
        except TimeoutError:
            text = f"the body did not arrive within {self._limits.body_seconds:g} s"
            found = Problem(408, {"detail": text, "error": "Too slow", "errors": text}, {"Connection": "close"})
        finally:
            self._reading -= held[0]
        await JSONResponse(found.body, found.status, found.headers)(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, held: list[int]) -> bytes | None:
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced[:20]) > self._limits.body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        async with asyncio.timeout(self._limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part = message.get("body", b"")
                parts.append(part)
                self._hold(len(part), held)
                if not message.get("more_body", False):
                    return b"".join(parts)

    async def _discard(self, receive: Receive) -> None:
        """Let a client that is still sending come to its end: one that is cut off may never read the answer."""
        left = self._limits.body_bytes * _DISCARDED
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARDING_SECONDS):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return

    def _hold(self, count: int, held: list[int]) -> None:
        held[0] += count
        self._reading += count
        if held[0] > self._limits.body_bytes:
            raise self._too_large()
        if held[0] > _RESERVED and self._reading > self._limits.bodies_bytes:
            raise QueueFull("too many large requests at once: try again", retry_after=1)

    def _too_large(self) -> TooLarge:
        return TooLarge("body", f"larger than {self._limits.body_bytes} bytes: send smaller or fewer pictures")


def check_json(body: bytes, limits: Limits) -> Problem | None:
    """Give what is wrong with a body as JSON, or None."""
    values = body.count(b",") + body.count(b"[") + body.count(b"{")
    if values > limits.json_values:
        text = f"more than {limits.json_values} values: send fewer"
        return invalid([{"type": "too_large", "loc": ("body",), "msg": text}])
    try:
        from_json(body, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        return invalid([{"type": "json_invalid", "loc": ("body",), "msg": f"not valid JSON: {str(error)[:200]}"}])
    return None


def check(generation: Generation, limits: Limits, names: Mapping[str, str] | None = None) -> Generation:
    """Hold a request against the limits and give it back. Raises Invalid at the first field that is beyond them.

    `names` says what a field of `Generation` is called in the API that the request came through.
    """
    called = dict(names or {})

    def refuse(name: str, message: str) -> None:
        raise Invalid(called.get(name, name), message)

    def within(name: str, value: float | None, least: float, most: float) -> None:
        if value is not None and not least <= value <= most:  # NaN is not either
            refuse(name, f"{str(value)[:20]} is not from {least:.10g} to {most:.10g}")

    _check_prompts(generation, limits, refuse)
    for name, side in (("width", generation.width), ("height", generation.height)):
        within(name, side, limits.smallest_side, limits.largest_side)
        if side % 8:
            refuse(name, f"{side} is not a multiple of 8: take {max(round(side / 8) * 8, 64)}")
    within("steps", generation.steps, 1, limits.steps)
    within("count", generation.count, 1, limits.pictures)
    within("cfg_scale", generation.cfg_scale, 0, limits.cfg_scale)
    within("seed", generation.seed, 0, LARGEST_SEED)
    within("clip_skip", generation.clip_skip, 1, 12)
    within("eta", generation.eta, 0, 1)
    within("guidance_rescale", generation.guidance_rescale, 0, 1)
    if generation.variation:
        within("variation.seed", generation.variation.seed, 0, LARGEST_SEED)
        within("variation.strength", generation.variation.strength, 0, 1)
    if generation.source:
        within("source.denoising_strength", generation.source.denoising_strength, 0, 1)
        if generation.source.mask:
            within("source.mask.blur", generation.source.mask.blur, 0, 64)
            within("source.mask.padding", generation.source.mask.padding, 0, 256)
    if generation.seed_resize_from:
        for side in generation.seed_resize_from:
            within("seed_resize_from", side, limits.smallest_side, limits.largest_side)
    for lora in generation.loras:
        within("loras", lora.weight, -10, 10)
    _check_hires(generation, limits, within, refuse)
    _check_work(generation, limits, refuse)
    return generation


def _check_prompts(generation: Generation, limits: Limits, refuse: _Refuse) -> None:
    texts = {"prompt": generation.prompt, "negative_prompt": generation.negative_prompt}
    if generation.hires:
        texts |= {"hires.prompt": generation.hires.prompt, "hires.negative_prompt": generation.hires.negative_prompt}
    for name, text in texts.items():
        if len(text) > limits.prompt_characters:
            refuse(name, f"{len(text)} characters, at most {limits.prompt_characters} are read: shorten it")


def _check_hires(generation: Generation, limits: Limits, within: _Within, refuse: _Refuse) -> None:
    hires = generation.hires
    if hires is None:
        return
    within("hires.denoising_strength", hires.denoising_strength, 0, 1)
    within("hires.scale", hires.scale, 1, 4)
    within("hires.steps", hires.steps, 0, limits.steps)
    within("hires.width", hires.width, 0, limits.largest_side)
    within("hires.height", hires.height, 0, limits.largest_side)
    width, height = final_size(generation)
    smallest, largest = min(width, height), max(width, height)
    if smallest < limits.smallest_side or largest > limits.largest_side:
        refuse("hires.scale", f"{width}x{height} has a side beyond {limits.smallest_side} to {limits.largest_side}")


def _check_work(generation: Generation, limits: Limits, refuse: _Refuse) -> None:
    width, height = final_size(generation)
    pixels = max(generation.width * generation.height, width * height)
    if pixels > limits.pixels:
        refuse("width", f"{pixels} pixels, at most {limits.pixels} are drawn: ask for a smaller picture")
    if generation.pixel_steps > limits.pixel_steps:
        refuse("steps", "width x height x steps x pictures is more than one request may take: ask for fewer")


def _is_json(scope: Scope) -> bool:
    kind: bytes = dict(scope["headers"]).get(b"content-type", b"application/json").split(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = True

    async def again() -> Message:
        nonlocal waiting
        if waiting:
            waiting = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again
