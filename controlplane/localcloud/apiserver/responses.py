"""Answers: bytes as they leave, and what was asked for by the Accept header."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import yaml

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.faults import Send

JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One media type of an Accept header: JSON or YAML, as what (`Table`, `PartialObjectMetadata`, ...)."""

    media: str
    shape: str = ""
    group: str = ""
    version: str = ""


@lru_cache(maxsize=256)
def accepted(header: str) -> tuple[Wanted, ...]:
    """Read an Accept header, in the client's order; nothing where none of it can be given."""
    if not header:
        return (Wanted("json"),)
    found: list[Wanted] = []
    for part in header.split(","):
        media, *pairs = (piece.strip() for piece in part.split(";"))
        parameters = dict(pair.partition("=")[::2] for pair in pairs)
        if media in ("application/json", "*/*", "application/*"):
            kind = "json"
        elif media in ("application/yaml", "application/x-yaml"):
            kind = "yaml"
        else:
            continue
        shape = parameters.get("as", "")
        found.append(Wanted(kind, shape, parameters.get("g", ""), parameters.get("v", "")))
    return tuple(found)


async def send_bytes(
    send: Send, status: int, body: bytes, content_type: bytes = JSON, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Send a whole answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-cache, private"),
                *(headers or ()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_object(
    send: Send, status: int, obj: Any, headers: list[tuple[bytes, bytes]] | None = None, media: str = "json"
) -> None:
    """Send an object as JSON or YAML."""
    if media == "yaml":
        text = yaml.dump(obj, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)
        await send_bytes(send, status, text.encode(), b"application/yaml", headers)
    else:
        await send_bytes(send, status, orjson.dumps(obj), JSON, headers)


async def send_error(send: Send, error: ApiError) -> None:
    """Send a Status failure."""
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    await send_object(send, error.code, error.status(), headers)


def warning_headers(warnings: list[str]) -> list[tuple[bytes, bytes]]:
    """Give the Warning headers."""
    return [
        (b"warning", b'299 - "' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"') for text in warnings
    ]


def partial(obj: Object) -> Object:
    """Give an object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }
