"""The Connect gateway: a member's Kubernetes API through Google's own door.

`/v1/projects/NUMBER/locations/LOCATION/gkeMemberships/MEMBERSHIP/...` is the API server of the membership's cluster,
for whoever has the gateway's permissions in IAM; what they may do in the cluster is the cluster's to say. Streams
(watches, logs) go through as they are.
Source: https://cloud.google.com/kubernetes-engine/enterprise/multicluster-management/gateway/using.
"""

import re
from collections.abc import Callable

import orjson

from controlplane.localcloud.faults import AsgiApp, Receive, Scope, Send
from controlplane.localcloud.gcp.callers import caller
from controlplane.localcloud.gcp.errors import GoogleError, not_found, unauthenticated, unavailable
from controlplane.localcloud.gcp.fleet import Fleet
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.gcp.tokens import TokenIssuer

PATH = "/v1/projects/{project}/locations/{location}/gkeMemberships/{rest:path}"
_PATH = re.compile(r"/v1/(projects/([^/]+)/locations/([^/]+)/gkeMemberships/([^/]+))(/.*)?")
_SERVICE = "connectgateway"


class ConnectGateway:
    """The ASGI application. servers: gives a cluster's API server by its link, None while it does not answer."""

    def __init__(
        self, project: Project, fleet: Fleet, tokens: TokenIssuer, servers: Callable[[str], AsgiApp | None]
    ) -> None:
        self._project = project
        self._fleet = fleet
        self._tokens = tokens
        self._servers = servers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            app, path = self._server(scope)
        except GoogleError as error:
            body = orjson.dumps(error.envelope())
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": error.http_code, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await app({**scope, "path": path, "raw_path": path.encode(), "root_path": ""}, receive, send)

    def _server(self, scope: Scope) -> tuple[AsgiApp, str]:
        found = _PATH.fullmatch(scope["path"])
        if found is None:
            raise not_found("The requested URL was not found on this server.")
        name, project, location, membership, path = found.groups()
        caller.set(self._user(scope))
        self._project.check_enabled(_SERVICE)
        verb = scope["method"].lower()
        self._project.check(project, f"gkehub.gateway.{'get' if verb == 'head' else verb}")
        member = self._fleet.find(location, membership)
        if member is None:
            raise not_found(f"Resource '{name.replace('gkeMemberships', 'memberships')}' was not found")
        app = self._servers(member.cluster)
        if app is None:
            raise unavailable(f"The cluster of membership {membership} cannot be reached.")
        return app, path or "/"

    def _user(self, scope: Scope) -> str:
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        user = self._tokens.authenticate(given.removeprefix("Bearer "))
        if user is None:
            raise unauthenticated()
        return user
