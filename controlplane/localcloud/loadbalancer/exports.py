"""Multi-cluster Services: which clusters export a Service, and the ServiceImports that tell all of them.

A Service is behind a Gateway from every cluster that holds a ServiceExport of its name, and from no other. Only a
cluster whose API answers is looked at; what any other exported when it was last seen, it exports still.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import yaml

from controlplane.localcloud.apiserver.api import Api, ApiError, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers.objects import is_deleting, key_of
from controlplane.localcloud.loadbalancer.wanted import Key

EXPORTS = "serviceexports.net.gke.io"
IMPORTS = "serviceimports.net.gke.io"
MANAGED_LABEL = "multicluster.kubernetes.io/managed-by"
MANAGER = "gke-mcs-importer"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where PyYAML was built with it
_CRDS = "customresourcedefinitions.apiextensions.k8s.io"

# The name and number of each port of an exported Service.
Ports: TypeAlias = tuple[tuple[str, int], ...]
# By key, the ports of what a cluster exports.
Exports: TypeAlias = Mapping[Key, Ports]


def install_kinds(api: Api, file: str) -> None:
    """Create the CRDs of a file beside this module, or bring them up to date."""
    for body in yaml.load_all(Path(__file__).with_name(file).read_text(), _LOADER):
        live = api.find(_CRDS, body["metadata"]["name"])
        if live is None:
            api.create(_CRDS, body)
        elif live["spec"]["versions"] != body["spec"]["versions"]:
            api.patch(_CRDS, body["metadata"]["name"], {"spec": {"versions": body["spec"]["versions"]}})


def read_exports(api: Api, clock: Clock) -> dict[Key, Ports]:
    """Give what a cluster exports, and tell it on each ServiceExport."""
    found: dict[Key, Ports] = {}
    for body in api.list(EXPORTS):
        metadata = body["metadata"]
        if is_deleting(body):
            continue
        service = api.find("services", metadata["name"], metadata["namespace"])
        if service is not None:
            ports = service["spec"].get("ports") or ()
            found[key_of(body)] = tuple((p.get("name", ""), p["port"]) for p in ports)
        _tell(api, body, clock, exported=service is not None)
    return found


def publish(api: Api, everywhere: Mapping[str, Exports]) -> None:
    """Bring the ServiceImports of one cluster in line with what all clusters export."""
    wanted: dict[Key, tuple[Ports, list[str]]] = {}
    for link, exports in sorted(everywhere.items()):
        for key, ports in exports.items():
            wanted.setdefault(key, (ports, []))[1].append(link)
    for body in api.list(IMPORTS, label_selector=f"{MANAGED_LABEL}={MANAGER}"):
        key = key_of(body)
        if key not in wanted and not is_deleting(body):
            api.delete(IMPORTS, key[1], key[0])
    for key, (ports, links) in wanted.items():
        # Namespace sameness: where the namespace does not exist, nothing can be imported.
        if api.find("namespaces", key[0]) is not None:
            _import(api, key, ports, links)


def _import(api: Api, key: Key, ports: Ports, links: list[str]) -> None:
    namespace, name = key
    named = [{"name": port_name, "port": port, "protocol": "TCP"} for port_name, port in ports]
    spec = {"type": "ClusterSetIP", "ports": [{k: v for k, v in port.items() if v != ""} for port in named]}
    live = api.find(IMPORTS, name, namespace)
    if live is None:
        live = api.create(
            IMPORTS,
            {
                "apiVersion": "net.gke.io/v1",
                "kind": "ServiceImport",
                "metadata": {"name": name, "namespace": namespace, "labels": {MANAGED_LABEL: MANAGER}},
                "spec": spec,
            },
            namespace,
        )
    elif live["spec"] != spec:
        live = api.update(IMPORTS, {**live, "spec": spec})
    status = {"clusters": [{"cluster": link} for link in links]}
    if live.get("status") != status:
        api.update(IMPORTS, {**live, "status": status}, subresource="status")


def _tell(api: Api, body: Object, clock: Clock, *, exported: bool) -> None:
    old: Object = next(iter((body.get("status") or {}).get("conditions") or ()), {})
    status = "True" if exported else "False"
    if old.get("status") == status:
        return
    condition = {
        "type": "Exported",
        "status": status,
        "reason": "Exported" if exported else "ServiceNotFound",
        "message": "" if exported else "there is no Service of this name",
        "lastTransitionTime": rfc3339(clock.now()),
    }
    try:
        api.update(EXPORTS, {**body, "status": {"conditions": [condition]}}, subresource="status")
    except ApiError as error:
        if error.code not in (404, 409):  # it is gone or has changed: it will be looked at again
            raise
