"""Namespaces: what each is given when it begins, and how it is emptied before it goes."""

from collections.abc import Iterable

from controlplane.localcloud.apiserver.api import ApiError, Change, Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.garbage import EveryResource
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.objects import clone, is_deleting, with_condition
from controlplane.localcloud.controllers.runtime import Controller, Key

RESOURCE = "namespaces"
KUBERNETES = "kubernetes"
ROOT_CA = "kube-root-ca.crt"


class NamespaceController:
    """Empties namespaces that are being deleted, then lets them go."""

    def __init__(self, informer: Informer, clock: Clock) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self.loop = Controller(
            "namespace", informer, clock, sources=EveryResource(self._keys_of), reconcile=self.reconcile
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    def _keys_of(self, change: Change) -> Iterable[Key]:
        if change.resource == RESOURCE:
            return [("", change.object["metadata"]["name"])] if is_deleting(change.object) else []
        namespace = change.object["metadata"].get("namespace")
        if not namespace or change.type == "MODIFIED":
            return []
        holder = self._api.find(RESOURCE, namespace)
        return [("", namespace)] if holder is not None and is_deleting(holder) else []

    async def reconcile(self, key: Key) -> None:
        """Delete what is in the namespace; when nothing is left, give it free."""
        name = key[1]
        namespace = self._api.find(RESOURCE, name)
        if namespace is None or not is_deleting(namespace):
            return
        if KUBERNETES not in (namespace.get("spec") or {}).get("finalizers", []):
            return
        failures = self._empty(name)
        left = self._left(name)
        namespace = self._report(namespace, failures, left)
        if not left and not failures:
            body = clone(namespace)
            body["spec"]["finalizers"] = [f for f in body["spec"]["finalizers"] if f != KUBERNETES]
            self._api.update(RESOURCE, body, subresource="finalize")
        elif failures:
            raise ApiError(500, "InternalError", "; ".join(failures))

    def _empty(self, name: str) -> list[str]:
        failures: list[str] = []
        for resource in self._informer.catalogue.namespaced():
            for obj in self._list(resource, name):
                if is_deleting(obj):
                    continue
                try:
                    self._api.delete(resource, obj["metadata"]["name"], name, propagation="Background")
                except ApiError as error:
                    if error.code != 404:
                        failures.append(error.message)
        return failures

    def _left(self, name: str) -> list[tuple[str, Object]]:
        resources = self._informer.catalogue.namespaced()
        return [(resource, obj) for resource in resources for obj in self._list(resource, name)]

    def _list(self, resource: str, namespace: str) -> list[Object]:
        try:
            return self._api.list(resource, namespace)
        except ApiError as error:
            if error.code == 404:  # a custom kind that is no longer served
                return []
            raise

    def _report(self, namespace: Object, failures: list[str], left: list[tuple[str, Object]]) -> Object:
        """Write why the namespace is still there, as `kubectl describe namespace` shows it."""
        now = self._clock.now()
        status: Object = {**(namespace.get("status") or {}), "phase": "Terminating"}
        for verdict in _verdicts(failures, left):
            status["conditions"] = with_condition(status.get("conditions") or [], verdict, now)
        if status == namespace.get("status"):
            return namespace
        body = clone(namespace)
        body["status"] = status
        return self._api.update(RESOURCE, body, subresource="status")


def _verdicts(failures: list[str], left: list[tuple[str, Object]]) -> list[Object]:
    counts: dict[str, int] = {}
    finalizers: dict[str, int] = {}
    for resource, obj in left:
        counts[resource] = counts.get(resource, 0) + 1
        for finalizer in obj["metadata"].get("finalizers") or []:
            finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
    remaining = ", ".join(f"{resource} has {count} resource instances" for resource, count in sorted(counts.items()))
    waiting = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(finalizers.items()))
    return [
        _verdict(
            "NamespaceDeletionDiscoveryFailure", "", "ResourcesDiscovered", "All resources successfully discovered"
        ),
        _verdict(
            "NamespaceDeletionGroupVersionParsingFailure",
            "",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        _verdict(
            "NamespaceDeletionContentFailure",
            f"Failed to delete all resource types, {len(failures)} remaining: {'; '.join(failures)}"
            if failures
            else "",
            "ContentDeletionFailed" if failures else "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        _verdict(
            "NamespaceContentRemaining",
            f"Some resources are remaining: {remaining}" if remaining else "",
            "SomeResourcesRemain" if remaining else "ContentRemoved",
            "All content successfully removed",
        ),
        _verdict(
            "NamespaceFinalizersRemaining",
            f"Some content in the namespace has finalizers remaining: {waiting}" if waiting else "",
            "SomeFinalizersRemain" if waiting else "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    ]


def _verdict(kind: str, trouble: str, reason: str, fine: str) -> Object:
    return {"type": kind, "status": "True" if trouble else "False", "reason": reason, "message": trouble or fine}


class NamespaceDefaults:
    """Gives every namespace its `default` ServiceAccount and the ConfigMap with the cluster's certificate authority."""

    def __init__(self, informer: Informer, clock: Clock, *, ca_pem: str) -> None:
        self._api = informer.api
        self._ca_pem = ca_pem
        self.loop = Controller(
            "namespace-defaults",
            informer,
            clock,
            sources={
                RESOURCE: lambda change: [("", change.object["metadata"]["name"])],
                "serviceaccounts": lambda change: self._lost(change, "default"),
                "configmaps": lambda change: self._lost(change, ROOT_CA),
            },
            reconcile=self.reconcile,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    def _lost(self, change: Change, name: str) -> list[Key]:
        meta = change.object["metadata"]
        concerned = meta["name"] == name and (change.type == "DELETED" or name == ROOT_CA)
        return [("", meta["namespace"])] if concerned else []

    async def reconcile(self, key: Key) -> None:
        """Create what is missing; put a changed certificate back."""
        name = key[1]
        namespace = self._api.find(RESOURCE, name)
        if namespace is None or is_deleting(namespace):
            return
        if self._api.find("serviceaccounts", "default", name) is None:
            self._api.create(
                "serviceaccounts",
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}},
                name,
            )
        data = {"ca.crt": self._ca_pem}
        present = self._api.find("configmaps", ROOT_CA, name)
        if present is None:
            meta = {
                "name": ROOT_CA,
                "namespace": name,
                "annotations": {
                    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver "
                    "when using internal endpoints such as the internal service IP or kubernetes.default.svc."
                },
            }
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
            self._api.create("configmaps", body, name)
        elif present.get("data") != data:
            self._api.update("configmaps", {**clone(present), "data": data})
