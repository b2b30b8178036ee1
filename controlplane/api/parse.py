"""From a GPUService as written to the values the decision works on; every wrong key gets its one line."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from controlplane.api.gpuservice import GPUServiceSpec, ProbeSpec
from controlplane.api.problems import Problem, SpecError, did_you_mean
from controlplane.model.naming import GROUP
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.service import (
    Ingress,
    IngressKind,
    PodTemplate,
    Policy,
    Preset,
    Regions,
    Scratch,
    ServiceSpec,
    Spread,
    Timing,
)

VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "GPUService"
# Room for `-<accelerator>-x8-on-demand` inside a label value's 63 characters without cutting the service's own name.
LONGEST_NAME = 30
_NAME = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_TOP_KEYS = ("apiVersion", "kind", "metadata", "spec", "status")


def parse_service(obj: Mapping[str, Any], *, source: str = "") -> ServiceSpec:
    """Check a GPUService and give its values. Raises SpecError that lists everything wrong at once."""
    problems = [*_envelope(obj), *_metadata(obj.get("metadata"))]
    spec: GPUServiceSpec | None = None
    try:
        spec = GPUServiceSpec.model_validate(obj.get("spec"))
    except ValidationError as error:
        problems += [_problem(dict(item)) for item in error.errors(include_url=False)]
    if problems or spec is None:
        raise SpecError([Problem(p.path, p.what, p.remedy, source) for p in problems])
    return _to_values(obj["metadata"], spec)


def _envelope(obj: Mapping[str, Any]) -> list[Problem]:
    problems = []
    given = obj.get("apiVersion")
    if isinstance(given, str) and given.startswith(f"{GROUP}/") and given != API_VERSION:
        what = f"is {given!r}, a version that this release does not read"
        problems.append(Problem("apiVersion", what, f"update gpuhunter, or write apiVersion: {API_VERSION}"))
    elif given != API_VERSION:
        problems.append(Problem("apiVersion", f"is {given!r}", f"write apiVersion: {API_VERSION}"))
    if obj.get("kind") != KIND:
        problems.append(Problem("kind", f"is {obj.get('kind')!r}", f"write kind: {KIND}"))
    problems += [
        Problem(str(key), "unknown key", did_you_mean(str(key), _TOP_KEYS, "remove it"))
        for key in obj
        if key not in _TOP_KEYS
    ]
    return problems


def _metadata(metadata: object) -> list[Problem]:
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


def _problem(error: dict[str, Any]) -> Problem:
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        key = str(error["loc"][-1])
        otherwise = "remove it, or update gpuhunter if it is of a newer release; see `kubectl explain gpuservice.spec`"
        return Problem(path, "unknown key", did_you_mean(key, _keys(), otherwise))
    if kind == "missing":
        return Problem(path, "is missing", "give it a value; see `kubectl explain gpuservice.spec`")
    if kind == "value_error":
        what, _, remedy = str(error["ctx"]["error"]).partition("; ")
        return Problem(path, what, remedy or "correct it")
    describe = _EXPLANATIONS.get(kind)
    remedy = describe(error.get("ctx", {})) if describe else error["msg"][:1].lower() + error["msg"][1:]
    return Problem(path, f"{_shown(given)} is not allowed here", remedy)


_EXPLANATIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda _: "write a whole number without quotes",
    "string_type": lambda _: 'write text; put numbers and true/false in quotes, such as "1"',
    "bool_type": lambda _: "write true or false",
    "list_type": lambda _: "write a list",
    "model_type": lambda _: "write a mapping of keys and values",
    "model_attributes_type": lambda _: "write a mapping of keys and values",
    "dict_type": lambda _: "write a mapping of keys and values",
    "float_parsing": lambda _: "write a number",
    "float_type": lambda _: "write a number",
    "finite_number": lambda _: "write a finite number",
    "greater_than": lambda c: f"give more than {c['gt']:g}",
    "greater_than_equal": lambda c: f"give at least {c['ge']:g}",
    "less_than_equal": lambda c: f"give at most {c['le']:g}",
    "too_short": lambda c: f"give at least {c['min_length']} entry",
    "too_long": lambda c: f"give at most {c['max_length']} entries",
    "string_too_short": lambda c: f"give at least {c['min_length']} character(s)",
    "string_too_long": lambda c: f"give at most {c['max_length']} characters",
    "string_pattern_mismatch": lambda c: f"it must match {c['pattern']}",
    "literal_error": lambda c: f"use {c['expected']}",
}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys() -> set[str]:
    keys: set[str] = set()

    def collect(schema: Any) -> None:
        if isinstance(schema, Mapping):
            keys.update(schema.get("properties", {}))
            for value in schema.values():
                collect(value)
        elif isinstance(schema, list):
            for value in schema:
                collect(value)

    collect(GPUServiceSpec.model_json_schema())
    return keys


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
        timing=_timing(spec),
        pod=_pod(spec),
        ingress=_ingress(spec),
        paused=spec.paused,
        deleting="deletionTimestamp" in metadata,
    )


def _policy(spec: GPUServiceSpec) -> Policy:
    p = spec.policy
    return Policy(None if p.preset is None else Preset(p.preset), p.missing_replica_cost, p.max_spares)


def _timing(spec: GPUServiceSpec) -> Timing:
    t = spec.timing
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
    )


def _startup(path: str, port: int, patience: timedelta) -> dict[str, Any]:
    """Ask every two seconds, for at least as long as the warm-up may take: a model load must not be shot half-way."""
    return _http(
        path, port, periodSeconds=2, timeoutSeconds=5, failureThreshold=max(1, round(patience.total_seconds() / 2))
    )


def _http(path: str, port: int, **numbers: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port}, **numbers}


def _probe(probe: ProbeSpec | None, port: int) -> dict[str, Any] | None:
    if probe is None:
        return None
    wire = probe.model_dump(by_alias=True)
    wire["httpGet"]["port"] = port
    return wire


def _ingress(spec: GPUServiceSpec) -> Ingress:
    ingress = spec.ingress
    return Ingress(
        kind=IngressKind(ingress.kind),
        static_address=ingress.static_address,
        static_address_name=ingress.static_address_name,
        host=ingress.host,
        health_path=ingress.health_path,
        timeout_seconds=round(ingress.timeout.total_seconds()),
        draining_seconds=round(ingress.draining.total_seconds()),
        check_interval_seconds=round(ingress.check_interval.total_seconds()),
    )
