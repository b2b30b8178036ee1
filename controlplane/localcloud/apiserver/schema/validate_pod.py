"""Validation of a Pod's spec, wherever it stands: in a Pod or in a template."""

from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)
from controlplane.localcloud.apiserver.schema.validate_probe import lifecycle, probes
from controlplane.localcloud.apiserver.schema.validate_resources import resources
from controlplane.localcloud.apiserver.schema.validate_scheduling import scheduling

_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PULL = ("Always", "IfNotPresent", "Never")
_MESSAGES = ("FallbackToLogsOnError", "File")
_PROTOCOLS = ("SCTP", "TCP", "UDP")


def pod_spec(field: str, spec: Object) -> list[FieldError]:
    """Complain about a Pod's spec."""
    volumes, found = _volumes(f"{field}.volumes", spec.get("volumes") or ())
    seen: set[str] = set()
    ports: set[tuple[Any, ...]] = set()
    containers = spec.get("containers") or []
    if not containers:
        found.append(required(f"{field}.containers"))
    for index, container in enumerate(containers):
        found += _container(f"{field}.containers[{index}]", container, seen, volumes, ports)
    for index, container in enumerate(spec.get("initContainers") or ()):
        found += _container(f"{field}.initContainers[{index}]", container, seen, volumes, ports, init=True)
    found += _enumerations(field, spec)
    grace = spec.get("terminationGracePeriodSeconds")
    found += names.not_negative(f"{field}.terminationGracePeriodSeconds", grace)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        found.append(invalid(f"{field}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive"))
    for key, rule in (
        ("serviceAccountName", names.dns1123_subdomain),
        ("nodeName", names.dns1123_subdomain),
        ("hostname", names.dns1123_label),
        ("subdomain", names.dns1123_label),
        ("priorityClassName", names.dns1123_subdomain),
    ):
        if spec.get(key):
            found += [invalid(f"{field}.{key}", spec[key], text) for text in rule(spec[key])]
    return found + scheduling(field, spec)


def _enumerations(field: str, spec: Object) -> list[FieldError]:
    found: list[FieldError] = []
    for key, allowed in (("restartPolicy", _RESTART), ("dnsPolicy", _DNS)):
        value = spec.get(key)
        if not value:
            found.append(required(f"{field}.{key}"))
        elif value not in allowed:
            found.append(not_supported(f"{field}.{key}", value, allowed))
    return found


def _container(
    field: str,
    container: Object,
    seen: set[str],
    volumes: set[str],
    ports: set[tuple[Any, ...]],
    *,
    init: bool = False,
) -> list[FieldError]:
    found: list[FieldError] = []
    name = container.get("name", "")
    if not name:
        found.append(required(f"{field}.name"))
    else:
        found += [invalid(f"{field}.name", name, text) for text in names.dns1123_label(name)]
        if name in seen:
            found.append(duplicate(f"{field}.name", name))
        seen.add(name)
    image = container.get("image", "")
    if not image:
        found.append(required(f"{field}.image"))
    elif image != image.strip():
        found.append(invalid(f"{field}.image", image, "must not have leading or trailing whitespace"))
    sidecar = init and container.get("restartPolicy") == "Always"
    found += lifecycle(f"{field}.lifecycle", container.get("lifecycle"), allowed=not init or sidecar)
    found += probes(field, container, allowed=not init or sidecar)
    found += _ports(f"{field}.ports", container.get("ports") or (), ports)
    found += _environment(field, container)
    found += _mounts(f"{field}.volumeMounts", container.get("volumeMounts") or (), volumes)
    policy = container.get("imagePullPolicy")
    if policy not in _PULL:
        found.append(
            not_supported(f"{field}.imagePullPolicy", policy, _PULL) if policy else required(f"{field}.imagePullPolicy")
        )
    policy = container.get("terminationMessagePolicy")
    if policy not in _MESSAGES:
        found.append(not_supported(f"{field}.terminationMessagePolicy", policy, _MESSAGES))
    return found + resources(f"{field}.resources", container.get("resources") or {})


def _ports(field: str, ports: Any, used: set[tuple[Any, ...]]) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{field}[{index}]"
        name = port.get("name", "")
        if name:
            problems = names.port_name(name)
            found += [invalid(f"{here}.name", name, text) for text in problems]
            if not problems and name in seen:
                found.append(duplicate(f"{here}.name", name))
            seen.add(name)
        number = port.get("containerPort", 0)
        if number == 0:
            found.append(required(f"{here}.containerPort"))
        else:
            found += names.port_number(f"{here}.containerPort", number)
        host_port = port.get("hostPort", 0)
        if host_port:
            found += names.port_number(f"{here}.hostPort", host_port)
            claim = (port.get("protocol"), port.get("hostIP", ""), host_port)
            if claim in used:
                found.append(duplicate(f"{here}.hostPort", f"{claim[0]}/{claim[1]}/{claim[2]}"))
            used.add(claim)
        protocol = port.get("protocol", "")
        if not protocol:
            found.append(required(f"{here}.protocol"))
        elif protocol not in _PROTOCOLS:
            found.append(not_supported(f"{here}.protocol", protocol, _PROTOCOLS))
    return found


def _environment(field: str, container: Object) -> list[FieldError]:
    found: list[FieldError] = []
    for index, variable in enumerate(container.get("env") or ()):
        here = f"{field}.env[{index}]"
        name = variable.get("name", "")
        if not name:
            found.append(required(f"{here}.name"))
        else:
            found += [invalid(f"{here}.name", name, text) for text in names.env_name(name)]
        found += _value_from(f"{here}.valueFrom", variable)
    for index, source in enumerate(container.get("envFrom") or ()):
        here = f"{field}.envFrom[{index}]"
        references = [key for key in ("configMapRef", "secretRef") if key in source]
        if not references:
            found.append(invalid(here, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(references) > 1:
            found.append(invalid(here, "", "may not have more than one field specified at a time"))
        for key in references:
            if not source[key].get("name"):
                found.append(required(f"{here}.{key}.name"))
    return found


def _value_from(field: str, variable: Object) -> list[FieldError]:
    source = variable.get("valueFrom")
    if source is None:
        return []
    kinds = [
        key
        for key in ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
        if key in source
    ]
    if not kinds:
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        return [invalid(field, "", text)]
    if variable.get("value"):
        return [invalid(field, "", "may not be specified when `value` is not empty")]
    if len(kinds) > 1:
        return [invalid(field, "", "may not have more than one field specified at a time")]
    found: list[FieldError] = []
    for key in ("configMapKeyRef", "secretKeyRef"):
        if key in source:
            found += [required(f"{field}.{key}.{part}") for part in ("name", "key") if not source[key].get(part)]
    if "fieldRef" in source and not source["fieldRef"].get("fieldPath"):
        found.append(required(f"{field}.fieldRef.fieldPath"))
    return found


def _mounts(field: str, mounts: Any, volumes: set[str]) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        here = f"{field}[{index}]"
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            found.append(required(f"{here}.name"))
        elif name not in volumes:
            found.append(not_found(f"{here}.name", name))
        if not path:
            found.append(required(f"{here}.mountPath"))
        elif path in seen:
            found.append(invalid(f"{here}.mountPath", path, "must be unique"))
        seen.add(path)
    return found


def _volumes(field: str, volumes: Any) -> tuple[set[str], list[FieldError]]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        here = f"{field}[{index}]"
        name = volume.get("name", "")
        if not name:
            found.append(required(f"{here}.name"))
        else:
            found += [invalid(f"{here}.name", name, text) for text in names.dns1123_label(name)]
            if name in seen:
                found.append(duplicate(f"{here}.name", name))
        sources = [key for key in volume if key != "name"]
        if not sources:
            found.append(required(here, "must specify a volume type"))
        found += [forbidden(f"{here}.{key}", "may not specify more than 1 volume type") for key in sorted(sources)[1:]]
        seen.add(name)
    return seen, found
