"""The HTTP face: from an ASGI scope to the core and back, without a framework in between.

A framework's routing and request objects cost more than the work of a GET. The face knows paths, verbs, media types and
users; what a verb means is the core's.
"""

import asyncio
import logging
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.authorization import Attributes, User
from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.errors import (
    bad_request,
    method_not_allowed,
    no_such_path,
    not_found,
    unauthorized,
)
from controlplane.localcloud.apiserver.freshness import await_version
from controlplane.localcloud.apiserver.logs import LogSource, answer_log
from controlplane.localcloud.apiserver.meta import answer_meta
from controlplane.localcloud.apiserver.presenter import Presenter
from controlplane.localcloud.apiserver.reads import Filter, Page, list_page
from controlplane.localcloud.apiserver.records import Record
from controlplane.localcloud.apiserver.registry import shelf_name
from controlplane.localcloud.apiserver.request import Request, Target, target
from controlplane.localcloud.apiserver.responses import send_bytes, send_error, send_object, warning_headers
from controlplane.localcloud.apiserver.reviews import review
from controlplane.localcloud.apiserver.schema import TypeInfo
from controlplane.localcloud.apiserver.spoiled import Spoiler
from controlplane.localcloud.apiserver.strategy import deletion_returns_object
from controlplane.localcloud.apiserver.streams import refuse_stream
from controlplane.localcloud.apiserver.watch import WatchStream
from controlplane.localcloud.apiserver.watching import watch_stream
from controlplane.localcloud.faults import FaultBook, Receive, Scope, Send

log = logging.getLogger(__name__)

_DELETED_AT_ONCE = 500
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


class HttpFace:
    """An ASGI application over one core."""

    def __init__(self, core: Core, faults: FaultBook, cluster: str) -> None:
        self._core = core
        self._spoiler = Spoiler(core, faults, cluster)
        self._streams: set[WatchStream] = set()
        self.log_source: LogSource | None = None

    def close(self) -> None:
        """End every watch."""
        for stream in list(self._streams):
            stream.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            await self._dispatch(request, receive, send)
        except ApiError as error:
            await send_error(send, error)
        except (ConnectionResetError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            await send_error(send, ApiError(500, "InternalError", "Internal error occurred"))

    async def _dispatch(self, request: Request, receive: Receive, send: Send) -> None:
        where = target(request.path)
        if where is None and request.path.startswith(("/healthz", "/readyz", "/livez")):
            await send_bytes(send, 200, b"ok", b"text/plain; charset=utf-8")
            return
        user = request.user = self._user(request)
        if where is None or not where.plural:
            self._core.authorizer.check(user, Attributes("get", path=request.path))
            await answer_meta(self._core, request, where, send)
            return
        info = self._core.registry.by_path(where.group, where.version, where.plural)
        if request.method not in ("GET", "HEAD"):
            await request.read()
        if info.namespaced and where.namespace is None and where.name:
            raise no_such_path()
        if not info.namespaced and where.namespace is not None:
            raise no_such_path()
        verb = _verb(request, where)
        self._core.authorizer.check(user, Attributes(
            verb, where.group, where.plural, where.subresource, where.namespace or "", where.name))  # fmt: skip
        refuse_stream(info.resource, where.subresource)
        if verb in ("get", "list", "watch") and not where.subresource and verb not in info.verbs:
            raise method_not_allowed()
        if verb == "watch":
            await self._watch(request, info, where, receive, send)
        elif verb in ("get", "list"):
            await self._read(request, info, where, verb, send)
        else:
            await self._write(request, info, where, verb, send)

    def _user(self, request: Request) -> User:
        scheme, _, token = request.header(b"authorization").partition(" ")
        name = self._core.authenticate(token.strip()) if scheme.lower() == "bearer" else None
        if name is None:
            raise unauthorized()
        user = self._core.authorizer.user(name)
        as_user = request.header(b"impersonate-user")
        if not as_user:
            return user
        self._core.authorizer.check(user, Attributes("impersonate", resource="users", name=as_user))
        groups = tuple(value.decode() for key, value in request.scope["headers"] if key == b"impersonate-group")
        account = self._core.authorizer.user(as_user).groups if as_user.startswith("system:serviceaccount:") else ()
        return User(as_user, tuple(dict.fromkeys((*groups, *account, "system:authenticated"))))

    async def _read(self, request: Request, info: TypeInfo, where: Target, verb: str, send: Send) -> None:
        presenter = Presenter(self._core, info, request.header(b"accept"), request.query.get("includeObject", ""))
        namespace = where.namespace or ""
        if where.subresource == "log" and info.resource == "pods":
            await answer_log(self._core, self.log_source, request, where, send)
            return
        if where.subresource == "scale":
            if info.scale is None:
                raise no_such_path()
            await send_object(send, 200, self._core.subresources.scale(info, namespace, where.name))
            return
        if where.subresource and where.subresource not in info.subresources:
            raise no_such_path()
        if where.subresource in ("binding", "eviction", "token"):
            raise method_not_allowed()
        await await_version(self._core.store, self._core.clock, request.query.get("resourceVersion", ""))
        shelf = self._spoiler.shelf(request.scope, shelf_name(info))
        if verb == "get":
            record = shelf.records.get((namespace, where.name))
            if record is None:
                raise not_found(info.resource, where.name)
            await send_bytes(send, 200, presenter.one(record), presenter.content_type)
            return
        wanted_options = request.list_options()
        wanted = Filter(info.resource, where.namespace, wanted_options.label_selector, wanted_options.field_selector)
        page: Page = list_page(self._core.store, shelf, wanted, wanted_options)
        page = self._spoiler.page(request.scope, page)
        await send_bytes(send, 200, presenter.many(page), presenter.content_type)

    async def _watch(self, request: Request, info: TypeInfo, where: Target, receive: Receive, send: Send) -> None:
        stream = watch_stream(self._core, request, info, where)
        self._streams.add(stream)
        try:
            await stream.run(receive, send)
        finally:
            self._streams.discard(stream)

    async def _write(self, request: Request, info: TypeInfo, where: Target, verb: str, send: Send) -> None:
        presenter = Presenter(self._core, info, request.header(b"accept"), request.query.get("includeObject", ""))
        namespace = where.namespace or ""
        core = self._core
        if verb in ("delete", "deletecollection"):
            status, body = await self._delete(request, info, where, verb, presenter)
            await core.journal.committed()
            await send_bytes(send, status, body, presenter.content_type)
            return
        options = request.write_options(request.user.name, f"{verb.capitalize()}Options")
        status = 200
        result: Object | None = None
        sub = where.subresource
        if verb == "create" and (where.name or info.kind.endswith("Review") or info.kind == "Binding"):
            result, status = self._post(request, info, where, options), 201
        elif sub and (sub not in info.subresources or sub in ("log", "binding", "eviction", "token")):
            raise no_such_path() if sub not in info.subresources else method_not_allowed()
        elif verb == "create":
            if info.namespaced and where.namespace is None:
                raise method_not_allowed()
            record, status = core.writes.create(info, namespace, request.object(info.kind), options), 201
        elif sub == "scale":
            result = self._scale(request, info, where, verb, options)
        elif verb == "update":
            record, created = core.writes.update(
                info, namespace, where.name, request.object(info.kind), options=options, subresource=_part(sub)
            )
            status = 201 if created else 200
        else:
            kind, patch = request.patch(info.kind)
            record, created = core.writes.patch(
                info, namespace, where.name, kind, patch, options=options, subresource=_part(sub)
            )
            status = 201 if created else 200
        headers = warning_headers(options.warnings) if options.warnings else None
        await core.journal.committed()
        if result is not None:
            await send_object(send, status, result, headers)
        else:
            await send_bytes(send, status, presenter.one(record), presenter.content_type, headers)

    def _post(self, request: Request, info: TypeInfo, where: Target, options: Any) -> Object:
        # a SelfSubjectReview asks by being sent: there is nothing in its body to read, whatever its format
        body = {} if info.kind == "SelfSubjectReview" else request.object(info.kind)
        if where.name and where.subresource:
            return self._core.subresources.create(
                info, where.namespace or "", where.name, where.subresource, body, options=options
            )
        if where.name:
            raise method_not_allowed()
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized: not an object")
        if info.kind == "Binding":
            pods = self._core.registry.by_resource("pods")
            name = (body.get("metadata") or {}).get("name") or ""
            return self._core.subresources.create(pods, where.namespace or "", name, "binding", body, options=options)
        return review(self._core, info, body, request.user)

    def _scale(self, request: Request, info: TypeInfo, where: Target, verb: str, options: Any) -> Object:
        namespace = where.namespace or ""
        if verb == "update":
            return self._core.subresources.update_scale(info, namespace, where.name, request.object("Scale"), options)
        kind, patch = request.patch("Scale")
        return self._core.subresources.patch_scale(info, namespace, where.name, kind, patch, options=options)

    async def _delete(
        self, request: Request, info: TypeInfo, where: Target, verb: str, presenter: Presenter
    ) -> tuple[int, bytes]:
        if where.subresource or "delete" not in info.verbs:
            raise method_not_allowed()
        options = request.delete_options(request.user.name)
        if verb == "deletecollection" and (
            info.plural == "namespaces" or (info.namespaced and where.namespace is None)
        ):
            raise method_not_allowed()
        if verb == "delete":
            record, gone = self._core.deletion.delete(info, where.namespace or "", where.name, options)
            if gone and not deletion_returns_object(info):
                return 200, presenter.deleted(record)
            return 200, presenter.one(record)
        wanted_options = request.list_options()
        wanted = Filter(info.resource, where.namespace, wanted_options.label_selector, wanted_options.field_selector)
        shelf = self._core.store.shelf(shelf_name(info))
        page = list_page(self._core.store, shelf, wanted, wanted_options)
        deleted: list[Record] = []
        for start in range(0, len(page.records), _DELETED_AT_ONCE):
            part = page.records[start : start + _DELETED_AT_ONCE]
            deleted += self._core.deletion.delete_collection(info, part, options)
            await self._core.journal.committed()  # lets those who watch keep up with the history
        return 200, presenter.many(Page(deleted, self._core.store.rv))


def _part(subresource: str) -> str:
    """Name the part of the object that a subresource writes; ephemeral containers are part of the spec."""
    return "" if subresource == "ephemeralcontainers" else subresource


def _verb(request: Request, where: Target) -> str:
    method = request.method
    if method == "GET":
        if where.watches or (request.query and request.flag("watch")):
            return "watch"
        return "get" if where.name else "list"
    if method == "DELETE":
        if where.name:
            return "delete"
        return "deletecollection"
    verb = _VERBS.get(method)
    if verb is None or (verb in ("update", "patch") and not where.name):
        raise method_not_allowed()
    return verb
