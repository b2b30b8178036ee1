"""Rows of what is neither Pod nor workload: nodes, services, configuration, storage, access, definitions."""

from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.tables.age import age
from controlplane.localcloud.apiserver.tables.columns import (
    NONE,
    UNKNOWN,
    UNSET,
    Printer,
    created,
    labels_text,
    limited,
    name_of,
    printer,
    selector_text,
)

_ROLE = "node-role.kubernetes.io/"


def _node(obj: Object, now: datetime) -> list[Any]:
    spec, status, metadata = obj.get("spec") or {}, obj.get("status") or {}, obj.get("metadata") or {}
    words = [
        "Ready" if one.get("status") == "True" else "NotReady"
        for one in status.get("conditions") or ()
        if one.get("type") == "Ready"
    ] or ["Unknown"]
    if spec.get("unschedulable"):
        words.append("SchedulingDisabled")
    labels = metadata.get("labels") or {}
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE) and key != _ROLE}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    info = status.get("nodeInfo") or {}
    addresses = {one.get("type"): one.get("address") for one in reversed(status.get("addresses") or ())}
    return [
        name_of(obj),
        ",".join(words),
        ",".join(sorted(roles)) or NONE,
        age(created(obj), now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or NONE,
        addresses.get("ExternalIP") or NONE,
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _namespace(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), (obj.get("status") or {}).get("phase", ""), age(created(obj), now)]


def _external_ip(obj: Object) -> str:
    spec = obj.get("spec") or {}
    external = list(spec.get("externalIPs") or ())
    kind = spec.get("type", "ClusterIP")
    if kind == "ExternalName":
        return str(spec.get("externalName", ""))
    if kind == "LoadBalancer":
        entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        found = [one.get("ip") or one.get("hostname") or "" for one in entries] + external
        return ",".join(found) or "<pending>"
    return ",".join(external) or NONE


def _service(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    ports = [
        f"{one.get('port')}:{one['nodePort']}/{one.get('protocol')}"
        if one.get("nodePort")
        else f"{one.get('port')}/{one.get('protocol')}"
        for one in spec.get("ports") or ()
    ]
    return [
        name_of(obj),
        spec.get("type", ""),
        (spec.get("clusterIPs") or [spec.get("clusterIP")])[0] or NONE,
        _external_ip(obj),
        ",".join(ports) or NONE,
        age(created(obj), now),
        labels_text(spec.get("selector")),
    ]


def _endpoints(obj: Object, now: datetime) -> list[Any]:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        ports = subset.get("ports") or ()
        for address in subset.get("addresses") or ():
            found.extend([f"{address['ip']}:{port['port']}" for port in ports] or [address["ip"]])
    return [name_of(obj), limited(found), age(created(obj), now)]


def _endpoint_slice(obj: Object, now: datetime) -> list[Any]:
    ports = [str(one["port"]) if one.get("port") is not None else "*" for one in obj.get("ports") or ()]
    addresses = [address for one in obj.get("endpoints") or () for address in one.get("addresses") or ()]
    return [
        name_of(obj),
        obj.get("addressType", ""),
        limited(ports) if ports else UNSET,
        limited(addresses) if addresses else UNSET,
        age(created(obj), now),
    ]


def _event(obj: Object, now: datetime) -> list[Any]:
    series = obj.get("series") or {}
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    involved = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    target = str(involved.get("kind", "")).lower()
    if involved.get("name"):
        target += f"/{involved['name']}"
    count = series.get("count") or obj.get("count") or obj.get("deprecatedCount") or 1
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        involved.get("fieldPath", ""),
        f"{component}, {host}" if component and host else component or host,
        str(obj.get("message") or obj.get("note") or "").strip(),
        age(first, now),
        count,
        name_of(obj),
    ]


def _config_map(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(created(obj), now)]


def _secret(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), obj.get("type", ""), len(obj.get("data") or ()), age(created(obj), now)]


def _service_account(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), len(obj.get("secrets") or ()), age(created(obj), now)]


def _lease(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), (obj.get("spec") or {}).get("holderIdentity", ""), age(created(obj), now)]


def _modes(modes: Any) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in modes or ())


def _volume(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    claim = spec.get("claimRef") or {}
    return [
        name_of(obj),
        (spec.get("capacity") or {}).get("storage", ""),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if (obj.get("metadata") or {}).get("deletionTimestamp") else status.get("phase", ""),
        f"{claim.get('namespace', '')}/{claim['name']}" if claim.get("name") else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason", ""),
        age(created(obj), now),
        spec.get("volumeMode") or UNSET,
    ]


def _claim(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    bound = bool(spec.get("volumeName"))
    return [
        name_of(obj),
        "Terminating" if (obj.get("metadata") or {}).get("deletionTimestamp") else status.get("phase", ""),
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "") if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        age(created(obj), now),
        spec.get("volumeMode") or UNSET,
    ]


def _created_at(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), created(obj) or ""]


def _quota(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    used = status.get("used") or {}
    rows: dict[bool, list[str]] = {True: [], False: []}
    for key, hard in sorted((status.get("hard") or spec.get("hard") or {}).items()):
        rows[key.startswith("limits.")].append(f"{key}: {used.get(key, '0')}/{hard}")
    return [name_of(obj), ", ".join(rows[False]), ", ".join(rows[True]), age(created(obj), now)]


def _ingress(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    shown = f"{','.join(hosts[:3])} + {len(hosts) - 3} more..." if len(hosts) > 3 else ",".join(hosts)
    return [
        name_of(obj),
        spec.get("ingressClassName") or NONE,
        shown or "*",
        ",".join(one.get("ip") or one.get("hostname") or "" for one in entries),
        "80, 443" if spec.get("tls") else "80",
        age(created(obj), now),
    ]


def _ingress_class(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    parameters = spec.get("parameters") or {}
    kind = parameters.get("kind", "")
    if parameters.get("apiGroup"):
        kind = f"{kind}.{parameters['apiGroup']}"
    text = f"{kind}/{parameters.get('name', '')}" if parameters else NONE
    return [name_of(obj), spec.get("controller", ""), text, age(created(obj), now)]


def _network_policy(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), selector_text((obj.get("spec") or {}).get("podSelector")), age(created(obj), now)]


def _binding(obj: Object, now: datetime) -> list[Any]:
    role = obj.get("roleRef") or {}
    subjects: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or ():
        name = subject.get("name", "")
        if subject.get("kind") == "ServiceAccount":
            name = f"{subject.get('namespace', '')}/{name}"
        subjects.setdefault(subject.get("kind", ""), []).append(name)
    return [
        name_of(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        age(created(obj), now),
        ", ".join(subjects["User"]),
        ", ".join(subjects["Group"]),
        ", ".join(subjects["ServiceAccount"]),
    ]


def _priority_class(obj: Object, now: datetime) -> list[Any]:
    default = bool(obj.get("globalDefault"))
    return [name_of(obj), obj.get("value", 0), default, age(created(obj), now), obj.get("preemptionPolicy", "")]


def _storage_class(obj: Object, now: datetime) -> list[Any]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    name = name_of(obj)
    if annotations.get("storageclass.kubernetes.io/is-default-class") == "true":
        name += " (default)"
    return [
        name,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        age(created(obj), now),
    ]


def _revision(obj: Object, now: datetime) -> list[Any]:
    owners = (obj.get("metadata") or {}).get("ownerReferences") or ()
    controller = next((one for one in owners if one.get("controller")), None)
    owner = NONE
    if controller is not None:
        group = controller.get("apiVersion", "").rpartition("/")[0]
        kind = str(controller.get("kind", "")).lower()
        owner = f"{kind}.{group}/{controller.get('name')}" if group else f"{kind}/{controller.get('name')}"
    return [name_of(obj), owner, obj.get("revision", 0), age(created(obj), now)]


def _pod_template(obj: Object, now: datetime) -> list[Any]:
    template = obj.get("template") or {}
    containers = (template.get("spec") or {}).get("containers") or ()
    return [
        name_of(obj),
        ",".join(one.get("name", "") for one in containers),
        ",".join(one.get("image", "") for one in containers),
        labels_text((template.get("metadata") or {}).get("labels")),
    ]


_SUBJECTS = ("+Users", "+Groups", "+ServiceAccounts")
_RBAC = "rbac.authorization.k8s.io"
_EVENT = (
    "Last Seen",
    "Type",
    "Reason",
    "Object",
    "+Subobject",
    "+Source",
    "Message",
    "+First Seen",
    "+Count",
    "+Name",
)
CLUSTER: dict[tuple[str, str], Printer] = {
    ("", "Node"): printer(
        _node,
        "Name",
        "Status",
        "Roles",
        "Age",
        "Version",
        "+Internal-IP",
        "+External-IP",
        "+OS-Image",
        "+Kernel-Version",
        "+Container-Runtime",
    ),
    ("", "Namespace"): printer(_namespace, "Name", "Status", "Age"),
    ("", "Service"): printer(_service, "Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"),
    ("", "Endpoints"): printer(_endpoints, "Name", "Endpoints", "Age"),
    ("discovery.k8s.io", "EndpointSlice"): printer(_endpoint_slice, "Name", "AddressType", "Ports", "Endpoints", "Age"),
    ("", "Event"): printer(_event, *_EVENT),
    ("events.k8s.io", "Event"): printer(_event, *_EVENT),
    ("", "ConfigMap"): printer(_config_map, "Name", "Data", "Age"),
    ("", "Secret"): printer(_secret, "Name", "Type", "Data:integer", "Age"),
    ("", "ServiceAccount"): printer(_service_account, "Name", "Secrets", "Age"),
    ("coordination.k8s.io", "Lease"): printer(_lease, "Name", "Holder", "Age"),
    ("", "PersistentVolume"): printer(
        _volume,
        "Name",
        "Capacity",
        "Access Modes",
        "Reclaim Policy",
        "Status",
        "Claim",
        "StorageClass",
        "VolumeAttributesClass",
        "Reason",
        "Age",
        "+VolumeMode",
    ),
    ("", "PersistentVolumeClaim"): printer(
        _claim,
        "Name",
        "Status",
        "Volume",
        "Capacity",
        "Access Modes",
        "StorageClass",
        "VolumeAttributesClass",
        "Age",
        "+VolumeMode",
    ),
    ("", "LimitRange"): printer(_created_at, "Name", "Created At"),
    ("", "ResourceQuota"): printer(_quota, "Name", "Request", "Limit", "Age"),
    ("", "PodTemplate"): printer(_pod_template, "Name", "Containers", "Images", "Pod Labels"),
    ("networking.k8s.io", "Ingress"): printer(_ingress, "Name", "Class", "Hosts", "Address", "Ports", "Age"),
    ("networking.k8s.io", "IngressClass"): printer(_ingress_class, "Name", "Controller", "Parameters", "Age"),
    ("networking.k8s.io", "NetworkPolicy"): printer(_network_policy, "Name", "Pod-Selector", "Age"),
    (_RBAC, "Role"): printer(_created_at, "Name", "Created At"),
    (_RBAC, "ClusterRole"): printer(_created_at, "Name", "Created At"),
    (_RBAC, "RoleBinding"): printer(_binding, "Name", "Role", "Age", *_SUBJECTS),
    (_RBAC, "ClusterRoleBinding"): printer(_binding, "Name", "Role", "Age", *_SUBJECTS),
    ("scheduling.k8s.io", "PriorityClass"): printer(
        _priority_class, "Name", "Value:integer", "Global-Default:boolean", "Age", "+PreemptionPolicy"
    ),
    ("storage.k8s.io", "StorageClass"): printer(
        _storage_class,
        "Name",
        "Provisioner",
        "ReclaimPolicy",
        "VolumeBindingMode",
        "AllowVolumeExpansion",
        "Age",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): printer(_created_at, "Name", "Created At"),
    ("apps", "ControllerRevision"): printer(_revision, "Name", "Controller", "Revision", "Age"),
}
