"""One Kubernetes API server, through the official client, with plain dicts.

The client's typed methods differ between versions: 37 validates bodies and answers with pydantic models, 36 does not.
Its transport, authentication and exceptions are the same, so calls are made by path with `ApiClient`, answers are read
as JSON, and writes are server-side apply, preconditioned patches and preconditioned deletes of plain dicts.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from controlplane.gateways import errors
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.instants import ahead
from controlplane.gateways.resources import ACCESS_REVIEWS, Resource, resource_of
from controlplane.gateways.retrying import Retrying, guarded
from controlplane.gateways.sanitise import sanitise
from controlplane.gateways.translate import of_http, translate
from controlplane.model.naming import FIELD_MANAGER

Json = dict[str, Any]
T = TypeVar("T")
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PAGE = 500
CONNECTIONS = 8
"""How many connections to one API server are kept."""
_IMPORTING = threading.Lock()
"""Version 37 loads its parts on demand, and fails when two threads are the first to ask at once."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API server is and how it proves itself. `ca_pem` None means the public authorities (DNS endpoints).

    kind: which of its endpoints it is. fallback: what to call while this one cannot be connected to.
    """

    url: str
    ca_pem: str | None = None
    kind: str = ""
    fallback: "Endpoint | None" = None


@dataclass(frozen=True, slots=True)
class Pong:
    """An API server's answer: its version, how long it took in seconds, and how far its clock is ahead of ours."""

    version: str
    seconds: float
    ahead: timedelta | None


class CallCounter:
    """Counts calls by verb and resource; what the bench and the RBAC test read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls: dict[tuple[str, str], int] = {}

    def add(self, verb: str, path: str) -> None:
        with self._lock:
            self.calls[verb, path] = self.calls.get((verb, path), 0) + 1

    @property
    def total(self) -> int:
        with self._lock:
            return sum(self.calls.values())


class KubernetesApi:
    """Reads and writes of one API server. Every call has a time-out; reads are retried by `Retrying`, writes never.

    refused: is told of a token that the server does not accept, and says whether there may be another one.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        token: Callable[[], str],
        *,
        retrying: Retrying | None = None,
        timeouts: tuple[float, float] = (3.0, 8.0),
        refused: Callable[[str], bool] = lambda _token: False,
    ) -> None:
        self._first = self._endpoint = endpoint
        self._token = token
        self._refused = refused
        self._retrying = retrying or Retrying()
        self._timeouts = timeouts
        self._client: Any = None
        self._lock = threading.Lock()
        self.counter = CallCounter()

    def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
    ) -> list[Json]:
        """List all objects, page by page. A list that cannot be completed raises; it is never given in part."""
        items: list[Json] = []
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(PAGE)}
        going: str | None = ""
        while going is not None:
            page = self._read("list", resource, namespace=namespace, query={**query, "continue": going or None})
            found = page.get("items")
            if found is not None and not isinstance(found, list):
                raise errors.Unreadable("a list without items")
            items += found or []
            metadata = page.get("metadata") or {}
            going = metadata.get("continue") or None
            if going is None and metadata.get("remainingItemCount"):
                raise errors.ListIncomplete("the list says of itself that it is not complete")
        return items

    def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Json | None:
        """Read one object; None when it is not there."""
        try:
            return self._read("get", resource, namespace=namespace, name=name)
        except errors.Gone:
            return None

    def apply(
        self, manifest: Mapping[str, Any], *, resource_version: str | None = None, manager: str = FIELD_MANAGER
    ) -> Json:
        """Server-side apply under our field manager; with a resource version, only onto that very state."""
        body = dict(manifest)
        if resource_version is not None:
            body["metadata"] = {**body["metadata"], "resourceVersion": resource_version}
        query = {"fieldManager": manager, "force": "true"}
        return self._write("patch", resource_of(body), body, query=query, content_type=APPLY, **_place(body))

    def create(self, resource: Resource, body: Mapping[str, Any]) -> Json:
        """Create an object that must not be there yet."""
        namespace = body["metadata"].get("namespace")
        return self._write("create", resource, body, query={"fieldManager": FIELD_MANAGER}, namespace=namespace)

    def replace(self, resource: Resource, body: Mapping[str, Any], *, subresource: str = "") -> Json:
        """Replace an object or its status; `metadata.resourceVersion` in the body is the precondition."""
        query = {"fieldManager": FIELD_MANAGER}
        return self._write("update", resource, body, query=query, subresource=subresource, **_place(body))

    def merge(self, resource: Resource, name: str, body: Mapping[str, Any], *, namespace: str | None) -> Json:
        """Merge-patch an object; `metadata.resourceVersion` in the body is the precondition."""
        query = {"fieldManager": FIELD_MANAGER}
        return self._write("patch", resource, body, query=query, content_type=MERGE, namespace=namespace, name=name)

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None,
        uid: str,
        resource_version: str | None = None,
        with_dependents: bool = False,
    ) -> None:
        """Delete the very object that was seen. One that is gone already is as good as deleted.

        with_dependents: it stays, marked, until what it owns is gone, so that its absence proves that.
        """
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        propagation = "Foreground" if with_dependents else "Background"
        body = {"preconditions": preconditions, "propagationPolicy": propagation}
        try:
            self._write("delete", resource, body, namespace=namespace, name=name)
        except errors.Gone:
            return

    def ping(self) -> Pong:
        """Ask for the server's version, once, and time the answer."""
        token = guarded(self._token, write=False)

        def ask() -> Pong:
            endpoint, client = self._open()
            headers = {
                "Accept": "application/json",
                "Authorization": f"Bearer {token}",
                "User-Agent": client.user_agent,
            }
            clock = self._retrying.clock
            before, began = clock.now(), clock.monotonic()
            url = f"{endpoint.url}/version"
            answer = client.rest_client.request("GET", url, headers=headers, _request_timeout=self._timeouts)
            seconds = clock.monotonic() - began
            version = str(_parse(answer, write=False).get("gitVersion", ""))
            return Pong(version, seconds, ahead(dict(answer.headers), before, clock.now()))

        return guarded(lambda: self._connected(ask, write=False), write=False)

    def may(self, verb: str, group: str, resource: str, subresource: str = "") -> bool:
        """Ask whether the caller may do this in every namespace. Nothing is stored, so it is a read."""
        wanted = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {"resourceAttributes": {key: value for key, value in wanted.items() if value}},
        }
        path = ACCESS_REVIEWS.path()
        answer = self._retrying.read(
            lambda: self._call("create", ACCESS_REVIEWS, "POST", path, body, "application/json")
        )
        status = answer.get("status")
        if not isinstance(status, Mapping):
            raise errors.Unreadable("an access review without a status")
        return status.get("allowed") is True

    def served(self, group: str, version: str) -> frozenset[str]:
        """Give the plurals of the kinds that a group and version serves; none when it is not there at all."""
        try:
            found = self._read("get", Resource(group, version, "", namespaced=False))
        except errors.Gone:
            return frozenset()
        return frozenset(str(each.get("name")) for each in found.get("resources") or ())

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.rest_client.pool_manager.clear()

    def _read(
        self, verb: str, resource: Resource, *, query: Mapping[str, str | None] | None = None, **where: Any
    ) -> Json:
        path = resource.path(**where) + _query(query)
        return self._retrying.read(lambda: self._call(verb, resource, "GET", path, None, ""))

    def _write(
        self,
        verb: str,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        query: Mapping[str, str | None] | None = None,
        content_type: str = "application/json",
        **where: Any,
    ) -> Json:
        method = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}[verb]
        path = resource.path(**where) + _query(query)
        label = f"/{where['subresource']}" if where.get("subresource") else ""
        return guarded(lambda: self._call(verb, resource, method, path, dict(body), content_type, label), write=True)

    def _call(  # noqa: PLR0917 - one request, spelt out
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        body: Json | None,
        content_type: str,
        label: str = "",
    ) -> Json:
        self.counter.add(verb, f"{resource.group}/{resource.plural}{label}")
        # The token first: without one nothing is sent, so that failure is never an ambiguous write.
        token = guarded(self._token, write=False)
        write = method != "GET"
        try:
            return self._connected(lambda: self._send(method, path, body, content_type, token), write=write)
        except Exception as error:
            # Who was not let in has done nothing, so with a new token even a write may be sent again.
            if not isinstance(translate(error, write=write), errors.AuthExpired) or not self._refused(token):
                raise
        self.counter.add(verb, f"{resource.group}/{resource.plural}{label}")
        renewed = guarded(self._token, write=False)
        return self._connected(lambda: self._send(method, path, body, content_type, renewed), write=write)

    def _connected(self, send: Callable[[], T], *, write: bool) -> T:
        """Send; where no connection is had, nothing got through, so the endpoints behind the first are tried.

        What is told in the end is why the first one failed: that another one may not be used is beside the point.
        """
        used, failed = self._endpoint, dict[str, GatewayError]()
        while True:
            try:
                return send()
            except Exception as error:
                found = translate(error, write=write)
                closed = isinstance(found, errors.Unreachable) or (failed and isinstance(found, errors.Forbidden))
                if not closed:
                    raise
                failed[used.url] = found
                used = self._turn(used)
                if used.url not in failed:
                    continue
                first = next(iter(failed.values()))
                if first is found:
                    raise
                raise first from error

    def _turn(self, used: Endpoint) -> Endpoint:
        """Turn to the endpoint behind the one that was used, after the last to the first; unless another call did."""
        with self._lock:
            if self._endpoint is used and self._first.fallback is not None:
                self._endpoint, self._client = used.fallback or self._first, None
            return self._endpoint

    def _send(self, method: str, path: str, body: Json | None, content_type: str, token: str) -> Json:
        endpoint, client = self._open()
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}", "User-Agent": client.user_agent}
        if body is not None:
            headers["Content-Type"] = content_type
        answer = client.rest_client.request(
            method, endpoint.url + path, headers=headers, body=body, _request_timeout=self._timeouts
        )
        return _parse(answer, write=method != "GET")

    def _open(self) -> tuple[Endpoint, Any]:
        with self._lock:
            if self._client is None:
                self._client = _api_client(self._endpoint)
            return self._endpoint, self._client


def _api_client(endpoint: Endpoint) -> Any:
    """Make a client of its own configuration: the shared default one mixes up clusters."""
    with _IMPORTING:
        from kubernetes.client import ApiClient, Configuration

    configuration = Configuration()
    configuration.host = endpoint.url
    configuration.retries = False  # Retrying does it; and no redirects are followed
    configuration.connection_pool_maxsize = CONNECTIONS
    client = ApiClient(configuration)
    client.user_agent = "gpu-hunter"
    if endpoint.ca_pem is not None:
        # By value: version 36 knows only files, and the authority comes from the GKE API, not from a file.
        client.rest_client.pool_manager.connection_pool_kw["ca_cert_data"] = endpoint.ca_pem
    return client


def _parse(answer: Any, *, write: bool) -> Json:
    raw = answer.data if getattr(answer, "data", None) is not None else answer.read()
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw or "")
    if answer.status == 404 and _from_google(text):
        # The Connect gateway does not know the way; that says nothing about what stands in the cluster.
        raise errors.Unreachable(f"the gateway does not lead there: {sanitise(text, 200)}")
    if not 200 <= answer.status <= 299:
        raise of_http(answer.status, text, headers=dict(answer.headers), write=write, phrase=str(answer.reason or ""))
    try:
        value = json.loads(text)
    except ValueError as error:
        # The write was answered with success; only what stands there now is not known.
        kind = errors.Ambiguous if write else errors.Unreadable
        raise kind("the answer is not JSON") from error
    if not isinstance(value, dict):
        raise errors.Unreadable("the answer is not an object")
    return value


def _from_google(text: str) -> bool:
    """Say whether an error is Google's own, in JSON or as a page, and not the API server's."""
    if text.lstrip().startswith("<"):
        return True
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and "error" in value and "kind" not in value


def _place(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"namespace": body["metadata"].get("namespace"), "name": body["metadata"]["name"]}


def _query(query: Mapping[str, str | None] | None) -> str:
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return f"?{urlencode(given, quote_via=quote)}" if given else ""
