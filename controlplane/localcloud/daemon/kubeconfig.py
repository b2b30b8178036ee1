"""The kubeconfig: one context per cluster, named after the cluster, so that `kubectl --context NAME` just works."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.localcloud.gcp.hosts import HostedCluster


def kubeconfig(clusters: Iterable[HostedCluster], token: str, *, current: str) -> bytes:
    """Give the file. JSON is YAML, and kubectl rewrites it as it likes.

    Two clusters may have one name in two regions: then the second one's context is LOCATION_NAME. Clusters that are
    still coming, or going, have no server to name.
    """
    hosted = _named(clusters)
    if current not in hosted:
        current = next(iter(hosted), "")
    user = "gpu-hunter-local"
    document: Mapping[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": f"https://{cluster.endpoint}",
                    "certificate-authority-data": base64.b64encode(cluster.ca_pem.encode()).decode(),
                },
            }
            for name, cluster in hosted.items()
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}} for name in hosted],
        "users": [{"name": user, "user": {"token": token}}],
    }
    return _yaml(document).encode()


def _named(clusters: Iterable[HostedCluster]) -> dict[str, HostedCluster]:
    named: dict[str, HostedCluster] = {}
    for cluster in clusters:
        if cluster.status == "RUNNING":
            named[f"{cluster.location}_{cluster.name}" if cluster.name in named else cluster.name] = cluster
    return named


def _yaml(value: Any, indent: int = 0) -> str:
    """Write plain nested data as block YAML; scalars as JSON strings, which YAML understands."""
    pad = "  " * indent
    lines = []
    for key, item in value.items():
        if isinstance(item, Mapping):
            lines.append(f"{pad}{key}:\n{_yaml(item, indent + 1)}")
        elif isinstance(item, list):
            lines.append(f"{pad}{key}:\n" if item else f"{pad}{key}: []\n")
            for entry in item:
                body = _yaml(entry, indent + 1)
                lines.append(f"{pad}- {body[len(pad) + 2 :]}")
        else:
            lines.append(f"{pad}{key}: {json.dumps(item)}\n")
    return "".join(lines)
