"""The methods of container and gkehub, with their message classes and REST paths, read off the published clients.

The clients ship no server stubs. Their gRPC transports name every method with the classes that it takes and gives, and
their REST transports name its paths; together that is all a server needs, so nothing about the wire is home-made.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_PLACEHOLDER = re.compile(r"\{([\w.]+)(?:=([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One REST form of a method: verb, path pattern, the request fields in the path, and what the body holds."""

    verb: str
    pattern: re.Pattern[str]
    fields: tuple[str, ...]
    body: str


@dataclass(frozen=True, slots=True)
class Method:
    """One remote procedure. `request` is a proto-plus class; `response` a proto-plus or protobuf class."""

    path: str
    request: Any
    response: Any
    rules: tuple[HttpRule, ...]


class _Recorder:
    """Stands in for a gRPC channel and writes down what the transport asks of it."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[Any, Any]] = {}

    def unary_unary(
        self, path: str, request_serializer: Any, response_deserializer: Any, **_: object
    ) -> Callable[..., None]:
        request = getattr(request_serializer, "__self__", None)
        self.found[path] = (request, response_deserializer.__self__)
        return lambda *_args, **_kwargs: None


def container_methods() -> list[Method]:
    """Give the methods of google.container.v1.ClusterManager."""
    from google.cloud.container_v1.services.cluster_manager.transports import grpc, rest_base

    return list(_methods(grpc.ClusterManagerGrpcTransport, rest_base._BaseClusterManagerRestTransport))  # noqa: SLF001 - the only place that names the paths


def gkehub_methods() -> list[Method]:
    """Give the methods of google.cloud.gkehub.v1.GkeHub."""
    from google.cloud.gkehub_v1.services.gke_hub.transports import grpc, rest_base

    return list(_methods(grpc.GkeHubGrpcTransport, rest_base._BaseGkeHubRestTransport))  # noqa: SLF001 - the only place that names the paths


def _methods(transport_class: Any, rest_class: Any) -> Iterator[Method]:
    recorder = _Recorder()
    # Made without its constructor, which would look for credentials and open a channel.
    transport = transport_class.__new__(transport_class)
    transport._logged_channel = recorder  # noqa: SLF001 - see above
    transport._stubs = {}  # noqa: SLF001 - see above
    for name, member in vars(transport_class).items():
        if isinstance(member, property) and not name.startswith("_") and name not in ("grpc_channel", "kind"):
            before = len(recorder.found)
            try:
                getattr(transport, name)
            except AttributeError:
                # Not a method: the client for long-running operations, which needs a real channel.
                continue
            if len(recorder.found) == before:
                continue
            path = list(recorder.found)[-1]
            request, response = recorder.found[path]
            if request is not None:
                base = getattr(rest_class, "_Base" + path.rpartition("/")[2], None)
                options = base._get_http_options() if base is not None else []  # noqa: SLF001 - see above
                yield Method(path, request, response, tuple(_rule(option) for option in options))


def _rule(option: dict[str, str]) -> HttpRule:
    fields: list[str] = []
    pattern, position = "", 0
    for match in _PLACEHOLDER.finditer(option["uri"]):
        fields.append(match[1])
        inner = re.escape(match[2] or "*").replace(r"\*\*", ".+").replace(r"\*", "[^/:]+")
        pattern += re.escape(option["uri"][position : match.start()]) + f"({inner})"
        position = match.end()
    pattern += re.escape(option["uri"][position:])
    return HttpRule(option["method"].upper(), re.compile(pattern + r"\Z"), tuple(fields), option.get("body", ""))
