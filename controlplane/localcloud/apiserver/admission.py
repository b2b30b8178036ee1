"""What happens to an object between reading it and storing it: the built-in admission of kube-apiserver, then hooks.

Built in are the plugins whose absence a client would notice: NamespaceLifecycle, ServiceAccount (the default name),
Priority, DefaultTolerationSeconds, and the addresses and node ports of Services. Hooks come from outside: the
Autopilot imitation registers its own.
"""

from typing import Any

from controlplane.localcloud.apiserver import services
from controlplane.localcloud.apiserver.api import AdmissionHook, AdmissionRequest, Object
from controlplane.localcloud.apiserver.errors import forbidden, not_found
from controlplane.localcloud.apiserver.schema import TypeInfo
from controlplane.localcloud.apiserver.store import Store

PERMANENT_NAMESPACES = ("default", "kube-system", "kube-public")
_TOLERATIONS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class Admission:
    """The chain: built-in mutation, mutating hooks; later, on the valid object, validating hooks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mutating: list[AdmissionHook] = []
        self._validating: list[AdmissionHook] = []

    def add(self, hook: AdmissionHook, *, validating: bool) -> None:
        """Register a hook."""
        (self._validating if validating else self._mutating).append(hook)

    def mutate(self, info: TypeInfo, request: AdmissionRequest) -> None:
        """Change the object as the server's own plugins and the hooks want it."""
        if request.operation == "CREATE":
            self._check_namespace(info, request)
        if request.resource == "pods" and request.operation == "CREATE":
            self._pod(request.object)
        if request.resource == "services" and request.operation in ("CREATE", "UPDATE"):
            services.allocate(self._store, request.object, request.old)
        for hook in self._mutating:
            hook(request)

    def validate(self, request: AdmissionRequest) -> None:
        """Let hooks refuse the object."""
        for hook in self._validating:
            hook(request)

    def _check_namespace(self, info: TypeInfo, request: AdmissionRequest) -> None:
        if not info.namespaced:
            return
        record = self._store.find("namespaces", ("", request.namespace))
        if record is None:
            raise not_found("namespaces", request.namespace)
        if record.object["metadata"].get("deletionTimestamp"):
            text = f"namespace {request.namespace} is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": text, "field": "metadata.namespace"}
            why = f"unable to create new content in namespace {request.namespace} because it is being terminated"
            raise forbidden(request.resource, request.object["metadata"]["name"], why, [cause])

    def _pod(self, pod: Object) -> None:
        spec: dict[str, Any] = pod["spec"]
        account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = account
        self._set_priority(pod, spec)
        pod["status"] = {**(pod.get("status") or {}), "qosClass": _quality_of_service(spec)}
        tolerations = spec.setdefault("tolerations", [])
        for key in _TOLERATIONS:
            covered = (one.get("key") in (key, None, "") and one.get("effect") in ("NoExecute", None, "")
                       for one in tolerations)  # fmt: skip
            if not any(covered):
                tolerations.append({"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300})

    def _set_priority(self, pod: Object, spec: dict[str, Any]) -> None:
        name = spec.get("priorityClassName")
        shelf = self._store.shelf("priorityclasses.scheduling.k8s.io").records
        if name:
            record = shelf.get(("", name))
            if record is None:
                raise forbidden("pods", pod["metadata"]["name"], f"no PriorityClass with name {name} was found")
            found: Object | None = record.object
        else:
            found = next((one.object for one in shelf.values() if one.object.get("globalDefault")), None)
            if found is not None:
                spec["priorityClassName"] = found["metadata"]["name"]
        spec["priority"] = found["value"] if found else 0
        spec["preemptionPolicy"] = (found or {}).get("preemptionPolicy", "PreemptLowerPriority")


def _quality_of_service(spec: dict[str, Any]) -> str:
    """Give a Pod's class: Guaranteed where every container's requests are its limits, for both cpu and memory."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    resources = [container.get("resources") or {} for container in containers]
    amounts = [(one.get("requests") or {}, one.get("limits") or {}) for one in resources]
    named = ("cpu", "memory")
    if not any(name in amount for pair in amounts for amount in pair for name in named):
        return "BestEffort"
    settled = all(
        name in limits and requests.get(name) == limits[name] for requests, limits in amounts for name in named
    )
    return "Guaranteed" if settled else "Burstable"
