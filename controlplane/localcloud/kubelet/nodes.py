"""Nodes as their kubelet reports them: a Lease every ten seconds, the status when it matters.

One kubelet serves all nodes of its cluster. The autoscaler makes the Node objects, with their capacity; what a kubelet
adds (addresses, versions, conditions) is filled in when a node appears, and again whenever someone else marked it not
ready although it is.
"""

import copy
import logging
from datetime import datetime, timedelta

from controlplane.localcloud.apiserver.api import Api, ApiError, Object
from controlplane.localcloud.clock import Clock, rfc3339, rfc3339_micro
from controlplane.localcloud.kubelet.host import NodeState

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
REPORT_INTERVAL = timedelta(minutes=5)
# GKE puts it on a Spot node some seconds before the machine is taken away.
TERMINATION_TAINT = "cloud.google.com/impending-node-termination"

PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


def going_down(node: Object) -> bool:
    """Whether the machine has been told that it will be taken away."""
    taints = (node.get("spec") or {}).get("taints") or []
    return any(taint.get("key") == TERMINATION_TAINT for taint in taints)


def internal_address(node: Object) -> str:
    """Give the node's address, where it has one."""
    addresses = (node.get("status") or {}).get("addresses") or []
    return next((str(entry["address"]) for entry in addresses if entry.get("type") == "InternalIP"), "")


class NodeReporter:
    """Keeps the Leases and the status of nodes."""

    def __init__(self, api: Api, clock: Clock, version: str) -> None:
        self._api = api
        self._clock = clock
        self._version = version
        self._reported: dict[str, datetime] = {}

    def renew(self, state: NodeState) -> None:
        """Renew the Lease, and the status where it is due or wrong."""
        node = self._api.find("nodes", state.name)
        if node is None:
            return
        try:
            self._renew_lease(node)
            self._report(node, state)
        except ApiError as error:
            log.warning("node %s: heartbeat not written: %s", state.name, error.message)

    def forget(self, name: str) -> None:
        """Stop caring for a node that is gone, and take its Lease with it."""
        self._reported.pop(name, None)
        if self._api.find("leases.coordination.k8s.io", name, LEASE_NAMESPACE) is not None:
            try:
                self._api.delete("leases.coordination.k8s.io", name, LEASE_NAMESPACE)
            except ApiError as error:
                log.debug("node %s: lease not deleted: %s", name, error.message)

    def _renew_lease(self, node: Object) -> None:
        name = node["metadata"]["name"]
        stamp = rfc3339_micro(self._clock.now())
        present = self._api.find("leases.coordination.k8s.io", name, LEASE_NAMESPACE)
        if present is not None:
            renewed = {**present, "spec": {**present["spec"], "renewTime": stamp}}
            self._api.update("leases.coordination.k8s.io", renewed)
            return
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": stamp},
        }
        self._api.create("leases.coordination.k8s.io", lease, LEASE_NAMESPACE)

    def _report(self, node: Object, state: NodeState) -> None:
        now = self._clock.now()
        status = node_status(node, state, self._version, now)
        due = now - self._reported.get(state.name, datetime.min.replace(tzinfo=now.tzinfo)) >= REPORT_INTERVAL
        if not due and _steady(node) == _steady({"status": status}):
            return
        body = copy.deepcopy({**node, "status": status})
        self._api.update("nodes", body, subresource="status", user=f"system:node:{state.name}")
        self._reported[state.name] = now


def node_status(node: Object, state: NodeState, version: str, now: datetime) -> Object:
    """Give the whole node status; capacity and whatever others wrote stays."""
    old = node.get("status") or {}
    before = {condition["type"]: condition for condition in old.get("conditions") or []}
    wanted = [(name, "False", reason, text) for name, reason, text in PRESSURES]
    if state.shutting_down:
        wanted.append(("Ready", "False", "KubeletNotReady", "node is shutting down"))
    else:
        wanted.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    conditions = [condition for name, condition in before.items() if name not in {entry[0] for entry in wanted}]
    for name, value, reason, text in wanted:
        present = before.get(name) or {}
        changed = present.get("status") != value or not present.get("lastTransitionTime")
        conditions.append(
            {
                "type": name,
                "status": value,
                "reason": reason,
                "message": text,
                "lastHeartbeatTime": rfc3339(now),
                "lastTransitionTime": rfc3339(now) if changed else present["lastTransitionTime"],
            }
        )
    addresses = [{"type": "InternalIP", "address": state.ip}, {"type": "Hostname", "address": state.name}]
    status: Object = {**old, "conditions": conditions, "addresses": old.get("addresses") or addresses}
    status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": 10250}}
    status["nodeInfo"] = {**_node_info(state.name, version), **{k: v for k, v in old.get("nodeInfo", {}).items() if v}}
    return status


def _node_info(name: str, version: str) -> Object:
    return {
        "machineID": name,
        "systemUUID": name,
        "bootID": name,
        "kernelVersion": "6.12.55+",
        "osImage": "Container-Optimized OS from Google",
        "containerRuntimeVersion": "containerd://2.1.5",
        "kubeletVersion": version,
        "kubeProxyVersion": version,
        "operatingSystem": "linux",
        "architecture": "amd64",
    }


def _steady(node: Object) -> object:
    """Give of a node's status what does not change by the mere passing of time."""
    status = node.get("status") or {}
    conditions = sorted((c["type"], c.get("status"), c.get("reason")) for c in status.get("conditions") or [])
    return conditions, status.get("addresses"), status.get("nodeInfo")
