"""Everything the server tells about itself: discovery, version, OpenAPI."""

from collections.abc import Callable
from typing import Any

import orjson

from controlplane.localcloud.apiserver import discovery
from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.errors import method_not_allowed, no_such_path, not_acceptable
from controlplane.localcloud.apiserver.request import Request, Target
from controlplane.localcloud.apiserver.responses import accepted, send_bytes, send_object
from controlplane.localcloud.faults import Send

_OPENAPI_V2 = b"application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_AGGREGATED = b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def answer_meta(core: Core, request: Request, where: Target | None, send: Send) -> None:
    """Answer a path that names no resource."""
    if request.method not in ("GET", "HEAD"):
        raise method_not_allowed()
    path = request.path.rstrip("/")
    if where is not None:
        await send_object(send, 200, discovery.resource_list(core.registry, where.group, where.version))
    elif path in ("/api", "/apis"):
        await _root(core, request, path, send)
    elif path.startswith("/apis/"):
        await send_object(send, 200, discovery.group(core.registry, path.removeprefix("/apis/")))
    elif path == "/version":
        await send_object(send, 200, discovery.VERSION)
    elif path.startswith("/openapi/"):
        await _openapi(core, request, path, send)
    elif path == "":
        await send_object(send, 200, {"paths": _paths(core)})
    else:
        raise no_such_path()


async def _root(core: Core, request: Request, path: str, send: Send) -> None:
    for wanted in accepted(request.header(b"accept")):
        if wanted.shape == "APIGroupDiscoveryList" and wanted.group == "apidiscovery.k8s.io" and wanted.version == "v2":
            body = orjson.dumps(discovery.aggregated(core.registry, core=path == "/api"))
            await send_bytes(send, 200, body, _AGGREGATED, [(b"vary", b"Accept")])
            return
        if not wanted.shape:
            break
    host = request.header(b"host")
    body_object = discovery.api_versions(host) if path == "/api" else discovery.group_list(core.registry)
    await send_object(send, 200, body_object, [(b"vary", b"Accept")])


async def _openapi(core: Core, request: Request, path: str, send: Send) -> None:
    from controlplane.localcloud.apiserver.schema.openapi import openapi_v3_document, openapi_v3_index

    if path == "/openapi/v3":
        body = _cached(core, path, lambda: openapi_v3_index(core.registry.types()))
        await send_bytes(send, 200, body)
        return
    if path.startswith("/openapi/v3/"):
        parts = path.removeprefix("/openapi/v3/").split("/")
        group, version = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else ("", "")
        if parts[0] == "apis" and len(parts) == 3:
            group, version = parts[1], parts[2]
        if not any((info.group, info.version) == (group, version) for info in core.registry.types()):
            raise no_such_path()
        body = _cached(core, path, lambda: openapi_v3_document(group, version, core.registry.types()))
        await send_bytes(send, 200, body)
        return
    if path == "/openapi/v2":
        if not accepted(request.header(b"accept")):
            await _openapi_v2_protobuf(request, send)
            return
        info = {"title": "Kubernetes", "version": discovery.VERSION["gitVersion"]}
        await send_object(send, 200, {"swagger": "2.0", "info": info, "paths": {}, "definitions": {}})
        return
    raise no_such_path()


async def _openapi_v2_protobuf(request: Request, send: Send) -> None:
    """Send the document without paths: kubectl asks it, in protobuf alone, about kinds that version 3 does not know."""
    # Clients still write the old name, whose @ no media type may have; the answer has the new one.
    if _OPENAPI_V2.decode() not in request.header(b"accept").replace("@", "."):
        raise not_acceptable("application/json", _OPENAPI_V2.decode())
    info = _text(1, "Kubernetes") + _text(2, discovery.VERSION["gitVersion"])
    body = _text(1, "2.0") + b"\x12" + bytes([len(info)]) + info
    await send_bytes(send, 200, body, _OPENAPI_V2)


def _text(field: int, text: str) -> bytes:
    """Write a short text as a field of a protobuf message."""
    return bytes([field << 3 | 2, len(text)]) + text.encode()


_documents: dict[tuple[str, int], bytes] = {}


def _cached(core: Core, path: str, make: Callable[[], Object]) -> bytes:
    """Keep documents of built-in groups, which all clusters share; those of custom ones change with the definitions."""
    custom = any(info.custom for info in core.registry.types())
    if custom:
        parts = path.removeprefix("/openapi/v3/apis/").split("/")
        custom = path == "/openapi/v3" or any(info.custom and info.group == parts[0] for info in core.registry.types())
    if custom:
        return orjson.dumps(make())
    body = _documents.get((path, 0))
    if body is None:
        body = _documents[path, 0] = orjson.dumps(make())
    return body


def _paths(core: Core) -> list[Any]:
    paths = {"/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"}
    for info in core.registry.types():
        if info.group:
            paths |= {f"/apis/{info.group}", f"/apis/{info.api_version}"}
    return sorted(paths)
