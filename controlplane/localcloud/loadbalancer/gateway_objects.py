"""What the Gateway controller reads of and writes into the config cluster: finalizers, status, annotations."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.localcloud.apiserver.api import Api, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.objects import is_deleting, key_of
from controlplane.localcloud.loadbalancer.cloud_resources import forwarding_rule
from controlplane.localcloud.loadbalancer.gateways import Asked, RouteError, is_ours, parents_of
from controlplane.localcloud.loadbalancer.resources import BackendServiceHealth
from controlplane.localcloud.loadbalancer.state import State
from controlplane.localcloud.loadbalancer.wanted import GATEWAY, Ingress, Key, Wanted

GATEWAYS = "gateways.gateway.networking.k8s.io"
ROUTES = "httproutes.gateway.networking.k8s.io"
BACKEND_POLICIES = "gcpbackendpolicies.networking.gke.io"
HEALTH_POLICIES = "healthcheckpolicies.networking.gke.io"
GATEWAY_POLICIES = "gcpgatewaypolicies.networking.gke.io"
WATCHED = (GATEWAYS, ROUTES, BACKEND_POLICIES, HEALTH_POLICIES, GATEWAY_POLICIES)
FINALIZER = "gateway.finalizer.networking.gke.io"
CONTROLLER = "networking.gke.io/gateway"
RECONCILED_ANNOTATION = "networking.gke.io/last-reconcile-time"
_PREFIX = "networking.gke.io/"


class GatewayObjects:
    """Reads from and writes to the config cluster, each write only when it changes something."""

    def __init__(self, api: Api, clock: Clock, project: str) -> None:
        self._api, self._clock, self._project = api, clock, project
        self._events = EventRecorder(api, clock, "mc-gateway-controller")

    def asked(self) -> Asked:
        """Read what is asked for, and hold every Gateway that is ours to program."""
        gateways = self._api.list(GATEWAYS)
        for body in gateways:
            finalizers = body["metadata"].get("finalizers") or ()
            if is_ours(body) and not is_deleting(body) and FINALIZER not in finalizers:
                self._set_finalizers(body, [*finalizers, FINALIZER])
        lists = (self._api.list(resource) for resource in WATCHED[1:])
        return Asked(gateways, *lists)

    def report_all(
        self,
        state: State,
        described: Sequence[BackendServiceHealth],
        routes: Mapping[Key, RouteError | None],
        *,
        pending: Sequence[Wanted],
        refused: Mapping[Key, str],
    ) -> None:
        """Bring the status of every object up to date, and let go of Gateways that nothing needs any more."""
        needed = {ingress.key for wanted in pending for ingress in wanted.ingresses if ingress.kind == GATEWAY}
        gateways = {key_of(body): body for body in self._api.list(GATEWAYS) if is_ours(body)}
        for key, body in gateways.items():
            if is_deleting(body):
                finalizers = body["metadata"].get("finalizers") or ()
                if key not in needed and FINALIZER in finalizers:
                    self._set_finalizers(body, [each for each in finalizers if each != FINALIZER])
            else:
                self._report_gateway(body, state, described, refused.get(key, ""))
        for body in self._api.list(ROUTES):
            key = key_of(body)
            if key in routes and not is_deleting(body):
                self._report_route(body, [parent for parent in parents_of(body) if parent in gateways], routes[key])

    def _report_gateway(
        self, body: Object, state: State, described: Sequence[BackendServiceHealth], refused: str
    ) -> None:
        key = key_of(body)
        ingress = state.wanted.ingress(key, GATEWAY)
        programmed = ingress is not None
        told = self._told(ingress, state.ports[ingress.ident], described) if ingress is not None else {}
        names = [listener["name"] for listener in body["spec"]["listeners"]]
        ready = ("True", "Programmed", "") if programmed else ("False", "Pending", "no route leads anywhere yet")
        if refused:
            ready = ("False", "Invalid", f"error cause: gateway sync: {refused}")
        old = body.get("status") or {}
        conditions = [
            self._condition(body, old.get("conditions"), "Accepted", ("True", "Accepted", "")),
            self._condition(body, old.get("conditions"), "Programmed", ready),
        ]
        listeners = {each.get("name"): each.get("conditions") for each in old.get("listeners") or ()}
        status: Object = {
            "conditions": conditions,
            "listeners": [
                {
                    "name": name,
                    "attachedRoutes": int(programmed),
                    "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
                    "conditions": [self._condition(body, listeners.get(name), "Programmed", ready)],
                }
                for name in names
            ],
        }
        if ingress is not None:
            # The port is part of the address, since nobody on a laptop may listen on port 80.
            rule = forwarding_rule(ingress, state.ports[ingress.ident])
            status["addresses"] = [{"type": "IPAddress", "value": f"{rule.address}:{rule.port}"}]
        annotations = body["metadata"].get("annotations") or {}
        if old == status and all(annotations.get(name) == value for name, value in told.items()):
            return
        first = RECONCILED_ANNOTATION not in annotations
        live = self._api.update(GATEWAYS, {**body, "status": status}, subresource="status") if old != status else body
        stamp = {**told, RECONCILED_ANNOTATION: rfc3339(self._clock.now())}
        self._api.patch(GATEWAYS, key[1], {"metadata": {"annotations": stamp}}, key[0])
        self._events.record(live, "Normal", "ADD" if first else "SYNC", f"{key[0]}/{key[1]}")

    def _told(self, ingress: Ingress, port: int, described: Sequence[BackendServiceHealth]) -> dict[str, str]:
        """Give the annotations that name what was made of a Gateway."""
        rule = forwarding_rule(ingress, port)
        used = [each for each in described if each.name in ingress.backends]
        made = {
            "backend-services": ("backendServices", [each.name for each in used]),
            "health-checks": ("healthChecks", [each.health_check for each in used]),
            "forwarding-rules": ("forwardingRules", [rule.name]),
            "target-http-proxies": ("targetHttpProxies", [rule.target_proxy]),
            "url-maps": ("urlMaps", [rule.url_map]),
        }
        base = f"/projects/{self._project}/global"
        return {
            f"{_PREFIX}{name}": ", ".join(f"{base}/{collection}/{each}" for each in names)
            for name, (collection, names) in made.items()
        }

    def _report_route(self, body: Object, parents: Sequence[Key], problem: RouteError | None) -> None:
        old = {
            (each["parentRef"].get("namespace"), each["parentRef"]["name"]): each.get("conditions")
            for each in (body.get("status") or {}).get("parents") or ()
        }
        status = {
            "parents": [
                {
                    "parentRef": {
                        "group": "gateway.networking.k8s.io",
                        "kind": "Gateway",
                        "namespace": namespace,
                        "name": name,
                    },
                    "controllerName": CONTROLLER,
                    "conditions": [
                        self._condition(body, old.get((namespace, name)), kind, _outcome(kind, problem))
                        for kind in ("Accepted", "ResolvedRefs")
                    ],
                }
                for namespace, name in parents
            ]
        }
        if body.get("status") != status:
            self._api.update(ROUTES, {**body, "status": status}, subresource="status")

    def _condition(self, body: Object, old: Any, kind: str, outcome: tuple[str, str, str]) -> Object:
        status, reason, message = outcome
        before: Object = next((each for each in old or () if each.get("type") == kind), {})
        same = before.get("status") == status and "lastTransitionTime" in before
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": body["metadata"].get("generation", 0),
            "lastTransitionTime": before["lastTransitionTime"] if same else rfc3339(self._clock.now()),
        }

    def _set_finalizers(self, body: Object, finalizers: list[str]) -> None:
        metadata = body["metadata"]
        patch = {"metadata": {"finalizers": finalizers, "resourceVersion": metadata["resourceVersion"]}}
        self._api.patch(GATEWAYS, metadata["name"], patch, metadata["namespace"])


def _outcome(kind: str, problem: RouteError | None) -> tuple[str, str, str]:
    if problem is not None and problem.condition == kind:
        return "False", problem.reason, problem.message
    return "True", kind, ""
