"""From a GPUService as written to the values the decision works on; every wrong key gets its one line."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from controlplane.api.checking import checked
from controlplane.api.gpuservice import GPUServiceSpec, ModelSpec, ProbeSpec
from controlplane.api.ingress import HttpsSpec
from controlplane.api.problems import Problem
from controlplane.api.sections import TimingSpec
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.service import (
    Autoscaling,
    Https,
    Iap,
    Ingress,
    IngressKind,
    Model,
    PodTemplate,
    Policy,
    Preset,
    Regions,
    Scratch,
    ServiceSpec,
    Spread,
    Timing,
)

KIND = "GPUService"
# Room for `-<accelerator>-x8-on-demand` inside a label value's 63 characters without cutting the service's own name.
LONGEST_NAME = 30
LEAST_START = timedelta(minutes=15)
_NAME = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")


def parse_service(obj: Mapping[str, Any], *, source: str = "") -> ServiceSpec:
    """Check a GPUService and give its values. Raises SpecError that lists everything wrong at once."""
    spec = checked(obj, KIND, GPUServiceSpec, metadata_problems(obj.get("metadata")), source=source)
    return _to_values(obj["metadata"], spec)


def metadata_problems(metadata: object) -> list[Problem]:
    """Give what is wrong with the name and namespace of an object in a namespace."""
    if not isinstance(metadata, Mapping):
        return [Problem("metadata", "is missing", "give metadata.name")]
    problems = []
    name = metadata.get("name")
    if not isinstance(name, str) or not _NAME.match(name):
        advice = "give a name of lower-case letters, digits and dashes that starts with a letter"
        problems.append(Problem("metadata.name", f"{name!r} is not a name", advice))
    elif len(name) > LONGEST_NAME:
        problems.append(Problem("metadata.name", f"has {len(name)} characters", f"use at most {LONGEST_NAME}"))
    namespace = metadata.get("namespace", "default")
    if not isinstance(namespace, str) or not _NAME.match(namespace) or len(namespace) > 63:
        problems.append(
            Problem("metadata.namespace", f"{namespace!r} is not a namespace", "name an existing namespace")
        )
    return problems


def _to_values(metadata: Mapping[str, Any], spec: GPUServiceSpec) -> ServiceSpec:
    regions = spec.regions
    return ServiceSpec(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        replicas=spec.replicas,
        accelerators=tuple(Accelerator(a.type, a.count) for a in spec.accelerators),
        capacity_types=tuple(Capacity(c) for c in spec.capacity_types),
        regions=Regions(None if regions.allowed is None else frozenset(regions.allowed), frozenset(regions.denied)),
        spread=Spread(spec.spread.min_regions, spec.spread.max_replicas_per_region),
        max_hourly_cost=spec.max_hourly_cost,
        policy=_policy(spec),
        timing=timing_of(spec.timing),
        pod=_pod(spec),
        ingress=_ingress(spec),
        paused=spec.paused,
        deleting="deletionTimestamp" in metadata,
        autoscaling=_autoscaling(spec),
    )


def _policy(spec: GPUServiceSpec) -> Policy:
    p = spec.policy
    return Policy(None if p.preset is None else Preset(p.preset), p.missing_replica_cost, p.max_spares)


def _autoscaling(spec: GPUServiceSpec) -> Autoscaling | None:
    scaled = spec.autoscaling
    if scaled is None:
        return None
    return Autoscaling(scaled.max_replicas, scaled.cpu, tuple(metric.wire() for metric in scaled.metrics))


def timing_of(t: TimingSpec) -> Timing:
    """Give the values of a `timing` section."""
    return Timing(
        attempt_deadline=t.attempt_deadline,
        warmup_deadline=t.warmup_deadline,
        backoff_initial=t.backoff.initial,
        backoff_max=t.backoff.max,
        stabilisation_window=t.stabilisation_window,
        min_dwell=t.min_dwell,
        unreachable_grace=t.unreachable_grace,
    )


def _pod(spec: GPUServiceSpec) -> PodTemplate:
    pod, path = spec.pod, spec.ingress.health_path
    startup = _probe(pod.startup_probe, pod.port) or _startup(path, pod.port, spec.timing.warmup_deadline)
    readiness = _probe(pod.readiness_probe, pod.port) or _http(path, pod.port, periodSeconds=5, timeoutSeconds=5)
    return PodTemplate(
        image=pod.image,
        port=pod.port,
        command=tuple(pod.command),
        args=tuple(pod.args),
        env=tuple({"name": item.name, "value": item.value} for item in pod.env),
        requests=pod.resources.model_dump(by_alias=True),
        startup_probe=startup,
        readiness_probe=readiness,
        liveness_probe=_probe(pod.liveness_probe, pod.port),
        termination_grace_seconds=round(pod.termination_grace.total_seconds()),
        pre_stop_seconds=round(pod.pre_stop.total_seconds()),
        run_as_user=pod.run_as_user,
        read_only_root=pod.read_only_root_filesystem,
        scratch=tuple(Scratch(item.path, item.size) for item in pod.scratch),
        google_service_account=pod.google_service_account or "",
        model=None if pod.model is None else _model(pod.model),
    )


def _model(model: ModelSpec) -> Model:
    return Model(model.path, model.bucket or "", model.prefix or "", model.claim or "")


def _startup(path: str, port: int, patience: timedelta) -> dict[str, Any]:
    """Ask every two seconds, for at least as long as the warm-up may take: a model load must not be shot half-way.

    A short warm-up is when to look elsewhere, no reason to begin the load anew: it gets 15 minutes in any case.
    """
    longest = max(patience, LEAST_START)
    return _http(path, port, periodSeconds=2, timeoutSeconds=5, failureThreshold=round(longest.total_seconds() / 2))


def _http(path: str, port: int, **numbers: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port}, **numbers}


def _probe(probe: ProbeSpec | None, port: int) -> dict[str, Any] | None:
    if probe is None:
        return None
    wire = probe.model_dump(by_alias=True)
    wire["httpGet"]["port"] = port
    return wire


def _ingress(spec: GPUServiceSpec) -> Ingress:
    ingress, https, iap = spec.ingress, spec.ingress.https, spec.ingress.iap
    return Ingress(
        kind=IngressKind(ingress.kind),
        static_address=ingress.static_address,
        static_address_name=ingress.static_address_name,
        host=ingress.host,
        health_path=ingress.health_path,
        timeout_seconds=round(ingress.timeout.total_seconds()),
        draining_seconds=round(ingress.draining.total_seconds()),
        check_interval_seconds=round(ingress.check_interval.total_seconds()),
        https=None if https is None else _https(https),
        security_policy=ingress.security_policy,
        iap=None if iap is None else Iap(iap.oauth_secret, iap.client_id),
    )


def _https(https: HttpsSpec) -> Https:
    return Https(tuple(https.certificates), https.certificate_map, https.ssl_policy, redirect=https.redirect)
