"""Discovery: which groups, versions and resources there are, in the old format and in the aggregated one."""

import base64
import hashlib
from collections.abc import Iterable

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.errors import no_such_path
from controlplane.localcloud.apiserver.registry import Registry
from controlplane.localcloud.apiserver.schema import TypeInfo

VERSION: Object = {
    "major": "1",
    "minor": "37",
    "emulationMajor": "1",
    "emulationMinor": "37",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "36",
    "gitVersion": "v1.37.0-gke.1",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-08-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_SUBRESOURCES: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    # verbs, group, version and kind of what is exchanged ("" for the object itself)
    "status": (("get", "patch", "update"), "", "", ""),
    "finalize": (("update",), "", "", ""),
    "ephemeralcontainers": (("get", "patch", "update"), "", "", ""),
    "scale": (("get", "patch", "update"), "autoscaling", "v1", "Scale"),
    "binding": (("create",), "", "v1", "Binding"),
    "eviction": (("create",), "policy", "v1", "Eviction"),
    "log": (("get",), "", "", ""),
    "token": (("create",), "authentication.k8s.io", "v1", "TokenRequest"),
}


def _groups(registry: Registry) -> dict[str, dict[str, list[TypeInfo]]]:
    groups: dict[str, dict[str, list[TypeInfo]]] = {}
    for info in registry.types():
        groups.setdefault(info.group, {}).setdefault(info.version, []).append(info)
    return {
        group: {version: versions[version] for version in sorted(versions, key=_priority)}
        for group, versions in groups.items()
    }


def _priority(version: str) -> tuple[int, int, int]:
    """Order versions as Kubernetes does: v2, v1, v2beta1, v1beta2, v1alpha1."""
    import re

    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (3, 0, 0)
    stage = {None: 0, "beta": 1, "alpha": 2}[match.group(2)]
    return (stage, -int(match.group(1)), -int(match.group(3) or 0))


def api_versions(address: str) -> Object:
    """Answer GET /api."""
    where = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": where}


def group_list(registry: Registry) -> Object:
    """Answer GET /apis."""
    groups = [_group(name, list(versions)) for name, versions in _groups(registry).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Object:
    """Answer GET /apis/GROUP."""
    versions = _groups(registry).get(name)
    if not name or versions is None:
        raise no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, list(versions))}


def _group(name: str, versions: list[str]) -> Object:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def resource_list(registry: Registry, group_name: str, version: str) -> Object:
    """Answer GET /api/v1 and GET /apis/GROUP/VERSION."""
    infos = _groups(registry).get(group_name, {}).get(version)
    if infos is None:
        raise no_such_path()
    group_version = f"{group_name}/{version}" if group_name else version
    resources = [entry for info in sorted(infos, key=lambda one: one.plural) for entry in _resources(info)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _resources(info: TypeInfo) -> Iterable[Object]:
    entry: Object = {
        "name": info.plural,
        "singularName": info.singular,
        "namespaced": info.namespaced,
        "kind": info.kind,
        "verbs": list(info.verbs),
    }
    if info.short_names:
        entry["shortNames"] = list(info.short_names)
    if info.categories:
        entry["categories"] = list(info.categories)
    if "list" in info.verbs:
        digest = hashlib.sha256(f"{info.group}/{info.version}/{info.kind}".encode()).digest()
        entry["storageVersionHash"] = base64.b64encode(digest[:8]).decode()
    yield entry
    for name in info.subresources:
        if name not in _SUBRESOURCES:
            continue
        verbs, group_name, version, kind = _SUBRESOURCES[name]
        sub: Object = {"name": f"{info.plural}/{name}", "singularName": "", "namespaced": info.namespaced}
        if version:
            sub |= {"group": group_name, "version": version} if group_name else {}
        yield {**sub, "kind": kind or info.kind, "verbs": list(verbs)}


def aggregated(registry: Registry, *, core: bool) -> Object:
    """Answer GET /api or /apis in the aggregated format."""
    items = []
    for name, versions in _groups(registry).items():
        if core != (name == ""):
            continue
        entries = [
            {
                "version": version,
                "resources": [_aggregated(info) for info in sorted(infos, key=lambda one: one.plural)],
                "freshness": "Current",
            }
            for version, infos in versions.items()
        ]
        metadata: Object = {"name": name, "creationTimestamp": None} if name else {"creationTimestamp": None}
        items.append({"metadata": metadata, "versions": entries})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated(info: TypeInfo) -> Object:
    entry: Object = {
        "resource": info.plural,
        "responseKind": {"group": info.group, "version": info.version, "kind": info.kind},
        "scope": "Namespaced" if info.namespaced else "Cluster",
        "singularResource": info.singular,
        "verbs": list(info.verbs),
    }
    if info.short_names:
        entry["shortNames"] = list(info.short_names)
    if info.categories:
        entry["categories"] = list(info.categories)
    subresources = []
    for name in info.subresources:
        if name not in _SUBRESOURCES:
            continue
        verbs, group_name, version, kind = _SUBRESOURCES[name]
        response = {"group": info.group, "version": info.version, "kind": info.kind}
        if kind:
            response = {"group": group_name, "version": version, "kind": kind}
        subresources.append({"subresource": name, "responseKind": response, "verbs": list(verbs)})
    if subresources:
        entry["subresources"] = subresources
    return entry
