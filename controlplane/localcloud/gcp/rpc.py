"""The two ways in to container and gkehub: REST on the shared port, gRPC on a port of its own.

Both look methods up in one table, ask for the same tokens, and turn the same exception into an error.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import orjson
from google.longrunning import operations_pb2
from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import Response

from controlplane.localcloud.gcp.callers import caller
from controlplane.localcloud.gcp.container import ContainerApi
from controlplane.localcloud.gcp.errors import GoogleError, not_found, unauthenticated
from controlplane.localcloud.gcp.gkehub import GET_OPERATION, GkeHubApi
from controlplane.localcloud.gcp.methods import Method, container_methods, gkehub_methods
from controlplane.localcloud.gcp.transcoding import Router, request_message, response_document, unimplemented

Handler: TypeAlias = Callable[[Any], Awaitable[Any]]
# Says whose a token is.
Authenticate: TypeAlias = Callable[[str], str | None]
# Waits or raises when a fault is set for this call; gives the error that hides its answer, if it is to be lost.
Disturb: TypeAlias = Callable[[str], Awaitable[GoogleError | None]]


class Rpc:
    """Container and gkehub by method path."""

    def __init__(self, container: ContainerApi, hub: GkeHubApi, save: Callable[[], None] = lambda: None) -> None:
        self._container = container
        self._hub = hub
        handlers = container.handlers() | hub.handlers()
        self.handlers: Mapping[str, Handler] = {path: _saved(path, each, save) for path, each in handlers.items()}
        methods = [*container_methods(), *gkehub_methods()]
        self.methods: Mapping[str, Method] = {method.path: method for method in methods}
        self._router = Router(methods)

    async def rest(self, request: Request) -> Response:
        """Answer a REST call."""
        options = [value for name, value in request.query_params.multi_items() if name in ("$alt", "alt")]
        numbers = any("enum-encoding=int" in value for value in options)
        if (operation := self._hub_operation(request)) is not None:
            document = json_format.MessageToDict(operation, use_integers_for_enums=numbers)
            return json_response(document)
        found = self._router.find(request.method, request.url.path)
        if found is None:
            raise not_found("The requested URL was not found on this server.")
        method, rule, fields = found
        handler = self.handlers.get(method.path)
        if handler is None:
            raise unimplemented(method.path)
        body = read_json(await request.body())
        message = request_message(method, rule, fields, request.query_params.multi_items(), body)
        answer = await handler(message)
        return json_response(response_document(method, answer, enums_as_numbers=numbers))

    def hub_operation(self, name: str) -> operations_pb2.Operation:
        """Give a gkehub operation by its full name."""
        return self._hub.operation(name)

    def _hub_operation(self, request: Request) -> operations_pb2.Operation | None:
        """Tell the two APIs' operations apart: on Google Cloud their hosts do, here they share one."""
        name = request.url.path.removeprefix("/v1/")
        if request.method != "GET" or "/operations/" not in name:
            return None
        if self._container.has_operation(name.rpartition("/")[2]):
            return None
        try:
            return self._hub.operation(name)
        except GoogleError:
            # Neither knows it; container says so.
            return None


def _saved(path: str, handler: Handler, save: Callable[[], None]) -> Handler:
    """Have every change saved before it is answered, so that a daemon that is killed over it forgets none."""
    if path.rpartition("/")[2].startswith(("Get", "List")):
        return handler

    async def call(request: Any) -> Any:
        answer = await handler(request)
        save()
        return answer

    return call


def read_json(data: bytes) -> Any:
    """Read a request's body."""
    if not data:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise GoogleError("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}", "parseError") from error


def json_response(document: Any, status: int = 200) -> Response:
    """Make a JSON answer."""
    return Response(orjson.dumps(document), status, media_type="application/json; charset=UTF-8")


async def start_grpc(
    rpc: Rpc,
    authenticate: Authenticate,
    disturb: Disturb,
    *,
    host: str,
    port: int,
    certificate: bytes | None,
    key: bytes | None,
) -> tuple[Any, int]:
    """Serve gRPC; gives the server, to be stopped, and its port."""
    import grpc

    class Methods(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            path = details.method
            if path == GET_OPERATION:
                request = operations_pb2.GetOperationRequest.FromString
                return grpc.unary_unary_rpc_method_handler(
                    _wrapped(path, _operation), request, operations_pb2.Operation.SerializeToString
                )
            method = rpc.methods.get(path)
            if method is None:
                return None
            return grpc.unary_unary_rpc_method_handler(
                _wrapped(path, rpc.handlers.get(path)), method.request.deserialize, _serializer(method)
            )

    async def _operation(request: Any) -> Any:
        return rpc.hub_operation(request.name)

    def _wrapped(path: str, handler: Handler | None) -> Callable[[Any, Any], Awaitable[Any]]:
        async def call(request: Any, context: Any) -> Any:
            try:
                metadata = dict(context.invocation_metadata() or ())
                user = authenticate(str(metadata.get("authorization", "")).removeprefix("Bearer "))
                if user is None:
                    raise unauthenticated()
                caller.set(user)
                if handler is None:
                    raise unimplemented(path)
                lost = await disturb(path)
                answer = await handler(request)
            except GoogleError as error:
                lost, answer = error, None
            if lost is not None:
                await context.abort(grpc.StatusCode[lost.status], lost.message)
            return answer

        return call

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Methods(),))
    address = f"{host}:{port}"
    if certificate is not None and key is not None:
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        bound = server.add_secure_port(address, credentials)
    else:
        bound = server.add_insecure_port(address)
    await server.start()
    return server, bound


def _serializer(method: Method) -> Callable[[Any], bytes]:
    if hasattr(method.response, "serialize"):
        serialize: Callable[[Any], bytes] = method.response.serialize
        return serialize
    plain: Callable[[Any], bytes] = method.response.SerializeToString
    return plain
