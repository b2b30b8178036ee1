"""Warden, Autopilot's admission: refuses what Autopilot does not allow, with its own texts.

Which constraint holds where follows what users see on GKE. Security and size are checked on workloads and Pods alike,
so `kubectl apply` of the Deployment fails at once. What depends on GPUs and node selection is checked on Pods only: the
Deployment passes, its ReplicaSet reports FailedCreate, and no Pod exists.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from controlplane.localcloud.apiserver.api import AdmissionRequest, ApiError
from controlplane.localcloud.autopilot import denials, limits, names
from controlplane.localcloud.autopilot.adjust import quantity
from controlplane.localcloud.autopilot.computeclass import ComputeClasses, has_gpu_rule
from controlplane.localcloud.autopilot.pods import containers_of, gpus, requests, wanted
from controlplane.localcloud.autopilot.workloads import MANAGED_NAMESPACES, name_of, pod_spec

WEBHOOK = "warden-validating.common-webhooks.networking.gke.io"
REASON = "GKE Warden constraints violations"

# (constraint, message)
Violation = tuple[str, str]


class Warden:
    """The validating hook of one cluster."""

    def __init__(self, classes: ComputeClasses) -> None:
        self._classes = classes

    def __call__(self, request: AdmissionRequest) -> None:
        """Refuse, or let pass."""
        if request.subresource or request.operation == "DELETE":
            return
        spec = pod_spec(request.resource, request.object)
        if spec is None or not _is_new(request, spec):
            return
        if request.namespace in MANAGED_NAMESPACES:
            _protect(request)
            return
        violations = [*_security(spec), *_size(spec, name_of(request.object))]
        if request.resource == "pods":
            violations += [*self._gpu(spec), *_selection(spec)]
        if violations:
            raise ApiError(400, REASON, _text(violations, request.user))

    def _gpu(self, spec: Mapping[str, Any]) -> Iterator[Violation]:
        count = gpus(spec)
        accelerators = wanted(spec, names.ACCELERATOR)
        constraint = "autogke-gpu-limitation"
        if not count:
            if any(t.get("key") == names.GPU and t.get("operator") == "Exists" for t in spec.get("tolerations") or []):
                yield constraint, denials.TOLERATION_WITHOUT_GPU
            return
        if not accelerators:
            if not has_gpu_rule(self._classes.named_by(spec)):
                yield constraint, denials.NO_ACCELERATOR
            return
        for accelerator in accelerators:
            if message := _unsupported(accelerator, count, wanted(spec, names.ACCELERATOR_COUNT)):
                yield constraint, message


def _is_new(request: AdmissionRequest, spec: Mapping[str, Any]) -> bool:
    if request.operation == "CREATE" or request.old is None:
        return True
    return request.resource != "pods" and pod_spec(request.resource, request.old) != spec


def _text(violations: list[Violation], user: str) -> str:
    details: dict[str, list[str]] = {}
    for constraint, message in violations:
        details.setdefault(f"[denied by {constraint}]", []).append(message)
    who, groups = user, "system:authenticated"
    if user == "system:controller":  # on GKE every controller has an account of its own; Pods are its ReplicaSets'
        who = "system:serviceaccount:kube-system:replicaset-controller"
        groups = "system:serviceaccounts,system:serviceaccounts:kube-system,system:authenticated"
    return (
        f'admission webhook "{WEBHOOK}" denied the request: GKE Warden rejected the request because it violates one or '
        f"more constraints.\nViolations details: {json.dumps(details, separators=(',', ':'))}\n"
        f"Requested by user: '{who}', groups: '{groups}'."
    )


def _protect(request: AdmissionRequest) -> None:
    """Keep users out of the namespaces that Google manages."""
    if request.user.startswith("system:"):
        return
    text = denials.managed_namespace(
        request.resource, name_of(request.object), request.namespace, request.operation.lower(), request.user
    )
    raise ApiError(403, "Forbidden", text)


def _unsupported(accelerator: str, count: int, node_counts: tuple[str, ...]) -> str:
    """Say what is wrong with a GPU type and count; the wording is ours, the constraint is GKE's."""
    possible = limits.counts_of(accelerator)
    if not possible:
        return f"Accelerator type '{accelerator}' is not supported in Autopilot."
    known = ", ".join(f"'{n}'" for n in possible)
    for text in node_counts:
        if not text.isdigit() or int(text) not in possible:
            return f"Accelerator count '{text}' is not supported for accelerator '{accelerator}': use one of {known}."
        if int(text) < count:
            return f"The pod requests '{count}' GPUs, more than the accelerator count '{text}' of its node selector."
    if not node_counts and count not in possible:
        return f"GPU request '{count}' is not supported for accelerator '{accelerator}': use one of {known}."
    return ""


def _selection(spec: Mapping[str, Any]) -> Iterator[Violation]:
    families = wanted(spec, names.MACHINE_FAMILY)
    if families and "Performance" not in wanted(spec, names.COMPUTE_CLASS):
        yield "autopilot-machine-family-selection-limitation", denials.MACHINE_FAMILY


def _size(spec: Mapping[str, Any], workload: str) -> Iterator[Violation]:
    accelerator = next(iter(wanted(spec, names.ACCELERATOR)), "")
    count = next(iter(wanted(spec, names.ACCELERATOR_COUNT)), "")
    total = requests(spec)
    if (gpus(spec) and not accelerator) or (accelerator and not limits.counts_of(accelerator)):
        return  # which bounds hold is not known; the GPU constraint says what is wrong
    bounds = limits.range_for(accelerator, int(count) if count.isdigit() else gpus(spec))
    constraint = "autogke-pod-limit-constraints"
    if total.get("ephemeral-storage", Decimal(0)) > bounds.most("ephemeral-storage"):
        most = quantity("ephemeral-storage", bounds.most("ephemeral-storage"))
        yield constraint, denials.too_much_ephemeral(workload, most)
    for resource in ("cpu", "memory"):
        asked, most_allowed = total.get(resource, Decimal(0)), bounds.most(resource)
        if most_allowed and asked > most_allowed:
            yield (
                constraint,
                denials.too_much(workload, resource, quantity(resource, asked), quantity(resource, most_allowed)),
            )
    anti_affinity = (spec.get("affinity") or {}).get("podAntiAffinity")
    if anti_affinity and total.get("cpu", Decimal(0)) < Decimal("0.5"):
        yield constraint, denials.too_little_for_anti_affinity(workload, quantity("cpu", total.get("cpu", Decimal(0))))


def _security(spec: Mapping[str, Any]) -> Iterator[Violation]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield "autogke-disallow-hostnamespaces", f"enabling {field} is not allowed in Autopilot."
    paths = {v["name"]: v["hostPath"].get("path", "") for v in spec.get("volumes") or [] if v.get("hostPath")}
    for container in containers_of(spec):
        yield from _container_security(container, paths)


def _container_security(container: Mapping[str, Any], host_paths: Mapping[str, str]) -> Iterator[Violation]:
    name = container.get("name", "")
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "autogke-disallow-privilege", f"container {name} is privileged; not allowed in Autopilot"
    for capability in (context.get("capabilities") or {}).get("add") or []:
        if capability not in denials.CAPABILITIES.split(","):
            yield "autogke-default-linux-capabilities", denials.capability(capability, name)
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield "autogke-no-host-port", f"container {name} specifies a host port; disallowed in Autopilot."
    for mount in container.get("volumeMounts") or []:
        path = host_paths.get(mount.get("name", ""))
        if path is not None and not (mount.get("readOnly") and path.startswith("/var/log")):
            yield "autogke-no-write-mode-hostpath", denials.written_host_path(mount["name"], name)
