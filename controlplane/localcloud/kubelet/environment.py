"""A container's environment: literal values, references and the downward API, expanded as the kubelet expands them.

Pure but for `read`, through which ConfigMaps and Secrets come. What cannot be resolved raises ConfigError with the
kubelet's own text; the container then waits with CreateContainerConfigError.
"""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.kubelet.quantities import resource_value

# Gives a ConfigMap or Secret of the Pod's namespace, or None: (resource, name).
Read: TypeAlias = Callable[[str, str], Object | None]

REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.\-][A-Za-z0-9_.\-]*)\)")
SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(Exception):
    """The container cannot be configured."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` where the name is known; `$$` stands for one dollar sign."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else values.get(name, match.group(0))

    return REFERENCE.sub(replace, text)


def container_environment(
    pod: Object, container: Object, *, image_env: Mapping[str, str], given: Mapping[str, str], read: Read
) -> dict[str, str]:
    """Give the whole environment: what the node gives, then the image's, then envFrom, then env."""
    values = {**given, **image_env}
    for source in container.get("envFrom") or []:
        values.update(_from_source(pod, source, read))
    for entry in container.get("env") or []:
        value = _value(pod, container, entry, values, read)
        if value is not None:
            values[entry["name"]] = value
    return values


def field_value(pod: Object, path: str) -> str:
    """Give what the downward API gives for a field path."""
    if match := SUBSCRIPT.fullmatch(path):
        return str((pod["metadata"].get(match.group(1)) or {}).get(match.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = pod["metadata"].get(path.removeprefix("metadata.")) or {}
        return "\n".join(f'{key}="{value}"' for key, value in sorted(entries.items()))
    if path == "status.podIPs":
        return ",".join(entry["ip"] for entry in pod.get("status", {}).get("podIPs") or [])
    if path == "status.hostIPs":
        return ",".join(entry["ip"] for entry in pod.get("status", {}).get("hostIPs") or [])
    value: Any = pod
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def _from_source(pod: Object, source: Object, read: Read) -> dict[str, str]:
    prefix = source.get("prefix", "")
    for key, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
        if reference := source.get(key):
            found = read(resource, reference["name"])
            if found is not None:
                return {prefix + name: value for name, value in plain_data(found).items()}
            if not reference.get("optional"):
                raise _missing(resource, reference["name"])
    return {}


def _value(pod: Object, container: Object, entry: Object, values: Mapping[str, str], read: Read) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value") or "", values)
    if field := source.get("fieldRef"):
        return field_value(pod, field["fieldPath"])
    if field := source.get("resourceFieldRef"):
        return resource_value(pod, container, field)
    for key, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if reference := source.get(key):
            return _keyed(pod, resource, reference, read)
    raise ConfigError(f'invalid env "{entry["name"]}": no supported source')


def _keyed(pod: Object, resource: str, reference: Object, read: Read) -> str | None:
    found = read(resource, reference["name"])
    if found is None:
        if reference.get("optional"):
            return None
        raise _missing(resource, reference["name"])
    data = plain_data(found)
    if reference["key"] in data:
        return data[reference["key"]]
    if reference.get("optional"):
        return None
    kind = "ConfigMap" if resource == "configmaps" else "Secret"
    raise ConfigError(
        f"couldn't find key {reference['key']} in {kind} {pod['metadata']['namespace']}/{reference['name']}"
    )


def _missing(resource: str, name: str) -> ConfigError:
    return ConfigError(f'{"configmap" if resource == "configmaps" else "secret"} "{name}" not found')


def plain_data(found: Object) -> dict[str, str]:
    """Give the entries of a ConfigMap, or of a Secret decoded, as text."""
    if found.get("kind") == "Secret" or "type" in found:
        return {key: _decode(value) for key, value in (found.get("data") or {}).items()}
    return dict(found.get("data") or {})


def _decode(value: str) -> str:
    return base64.b64decode(value).decode("utf-8", "surrogateescape")
