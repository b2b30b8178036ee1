"""Volumes as directories.

There is no mount namespace, so a container cannot see its volumes at their mount paths. Each volume is a directory of
the Pod, and the container learns where from its environment: `MOUNT_<VOLUME>` (upper case, other characters become
`_`). For what an image map cannot change, a `command`, `args`, `env` value or `workingDir` that is a mount path, or a
path below one, is given the real path instead.
"""

import base64
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.kubelet.environment import ConfigError, Read, field_value
from controlplane.localcloud.kubelet.quantities import resource_value


def prepare_volumes(pod: Object, directory: Path, read: Read) -> None:
    """Make all volumes of the Pod; ConfigError says which one cannot be mounted yet."""
    for volume in pod["spec"].get("volumes") or []:
        target = directory / volume["name"]
        target.mkdir(parents=True, exist_ok=True)
        for name, data in _files(pod, volume, read).items():
            path = target / name
            if not path.resolve().is_relative_to(target.resolve()):
                raise ConfigError(f"invalid path {name!r}: must be below the volume")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def remove_volumes(directory: Path) -> None:
    """Remove everything of the Pod from the disk."""
    shutil.rmtree(directory, ignore_errors=True)


def mounts(container: Object, directory: Path) -> dict[str, Path]:
    """Give the real directory of every mount path, longest path first."""
    found = {
        mount["mountPath"].rstrip("/"): directory / mount["name"] / mount.get("subPath", "")
        for mount in container.get("volumeMounts") or []
        if mount["mountPath"].strip("/")
    }
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def mount_environment(container: Object, directory: Path) -> dict[str, str]:
    """Give the variables that tell the container where its volumes are."""
    return {
        f"MOUNT_{re.sub(r'[^A-Z0-9]', '_', mount['name'].upper())}": str(
            directory / mount["name"] / mount.get("subPath", "")
        )
        for mount in container.get("volumeMounts") or []
    }


def real_path(text: str, mounted: Mapping[str, Path]) -> str:
    """Give the real path where the text is a path at or below a mount path; else the text as it is."""
    for path, directory in mounted.items():
        if text == path or text.startswith(path + "/"):
            return str(directory) + text[len(path) :]
    return text


def _files(pod: Object, volume: Object, read: Read) -> dict[str, bytes]:
    if source := volume.get("configMap"):
        return _keyed(read, "configmaps", source["name"], source)
    if source := volume.get("secret"):
        return _keyed(read, "secrets", source["secretName"], source)
    if source := volume.get("downwardAPI"):
        return _downward(pod, source)
    files: dict[str, bytes] = {}
    for part in (volume.get("projected") or {}).get("sources") or []:
        if source := part.get("configMap"):
            files |= _keyed(read, "configmaps", source["name"], source)
        elif source := part.get("secret"):
            files |= _keyed(read, "secrets", source["name"], source)
        elif source := part.get("downwardAPI"):
            files |= _downward(pod, source)
    return files


def _keyed(read: Read, resource: str, name: str, source: Object) -> dict[str, bytes]:
    found = read(resource, name)
    if found is None:
        if source.get("optional"):
            return {}
        raise ConfigError(f'{"configmap" if resource == "configmaps" else "secret"} "{name}" not found')
    encoded = found.get("data") or {}
    if resource == "secrets":
        data = {key: base64.b64decode(value) for key, value in encoded.items()}
    else:
        data = {key: value.encode() for key, value in encoded.items()}
        data |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    items = source.get("items")
    if not items:
        return data
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not source.get("optional"):
        raise ConfigError(f"references non-existent {resource.removesuffix('s')} key: {missing[0]}")
    return {item["path"]: data[item["key"]] for item in items if item["key"] in data}


def _downward(pod: Object, source: Object) -> dict[str, bytes]:
    files = {}
    for item in source.get("items") or []:
        if field := item.get("fieldRef"):
            text = field_value(pod, field["fieldPath"])
        else:
            text = resource_value(pod, pod["spec"]["containers"][0], item["resourceFieldRef"])
        files[item["path"]] = text.encode()
    return files
