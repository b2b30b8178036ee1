"""Rows as `kubectl get` prints them."""

from datetime import UTC, datetime, timedelta

import pytest

from controlplane.localcloud.apiserver.schema import builtin_type, builtin_types, types_from_crd
from controlplane.localcloud.apiserver.tables import table
from controlplane.localcloud.apiserver.tables.age import duration

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_AGO = "2025-12-31T23:00:00Z"


@pytest.fixture
def row():
    """Give the cells of one object by column, those for `-o wide` only where asked for."""

    def cells(api_version, kind, obj, *, wide=False):
        obj = {"metadata": {"name": "x", "creationTimestamp": HOUR_AGO, **obj.pop("metadata", {})}, **obj}
        result = table(builtin_type(api_version, kind), [obj], NOW)
        columns = result["columnDefinitions"]
        pairs = zip(columns, result["rows"][0]["cells"], strict=True)
        return {column["name"]: cell for column, cell in pairs if wide or not column["priority"]}

    return cells


@pytest.mark.parametrize("info", builtin_types(), ids=lambda info: f"{info.api_version} {info.kind}")
def test_every_kind_can_be_printed(info):
    """An object with nothing but a name has a cell for each column."""
    result = table(info, [{"metadata": {"name": "x"}}], NOW)
    assert len(result["rows"][0]["cells"]) == len(result["columnDefinitions"])


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-5), "<invalid>"), (timedelta(0), "0s"), (timedelta(seconds=119), "119s"),
        (timedelta(minutes=2), "2m"), (timedelta(minutes=9, seconds=5), "9m5s"), (timedelta(minutes=10), "10m"),
        (timedelta(minutes=179), "179m"), (timedelta(hours=3), "3h"), (timedelta(hours=3, minutes=7), "3h7m"),
        (timedelta(hours=9, minutes=7), "9h"), (timedelta(hours=47), "47h"), (timedelta(days=2), "2d"),
        (timedelta(days=2, hours=3), "2d3h"), (timedelta(days=9), "9d"), (timedelta(days=729), "729d"),
        (timedelta(days=800), "2y70d"), (timedelta(days=365 * 9), "9y"),
    ],
)  # fmt: skip
def test_durations(span, text):
    """Two units while they say something, one beyond."""
    assert duration(span) == text


def _waiting(reason):
    return {"name": "c", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}}


_RUNNING = {"name": "c", "ready": True, "restartCount": 0, "state": {"running": {}}}
_SPEC = {"containers": [{"name": "c"}]}


def _ended(code, reason="", signal=0):
    terminated = {"exitCode": code, "reason": reason, "signal": signal}
    return {"name": "c", "ready": False, "restartCount": 0, "state": {"terminated": terminated}}


@pytest.mark.parametrize(
    ("status", "word", "ready"),
    [
        pytest.param({"phase": "Pending"}, "Pending", "0/1", id="not scheduled"),
        pytest.param(
            {"phase": "Pending", "containerStatuses": [_waiting("ContainerCreating")]}, "ContainerCreating", "0/1",
            id="being created",
        ),
        pytest.param({"phase": "Running", "containerStatuses": [_RUNNING]}, "Running", "1/1", id="running"),
        pytest.param(
            {"phase": "Running", "containerStatuses": [_waiting("CrashLoopBackOff")]}, "CrashLoopBackOff", "0/1",
            id="crashing",
        ),
        pytest.param(
            {"phase": "Pending", "containerStatuses": [_waiting("ImagePullBackOff")]}, "ImagePullBackOff", "0/1",
            id="no image",
        ),
        pytest.param(
            {"phase": "Succeeded", "containerStatuses": [_ended(0, "Completed")]}, "Completed", "0/1", id="completed",
        ),
        pytest.param({"phase": "Failed", "containerStatuses": [_ended(1, "Error")]}, "Error", "0/1", id="failed"),
        pytest.param({"phase": "Failed", "containerStatuses": [_ended(3)]}, "ExitCode:3", "0/1", id="without reason"),
        pytest.param({"phase": "Failed", "containerStatuses": [_ended(137, "", 9)]}, "Signal:9", "0/1", id="killed"),
        pytest.param({"phase": "Failed", "reason": "Evicted"}, "Evicted", "0/1", id="evicted"),
    ],
)  # fmt: skip
def test_the_status_of_a_pod(row, status, word, ready):
    """It says what a person needs to know, not the phase."""
    cells = row("v1", "Pod", {"spec": _SPEC, "status": status})
    assert (cells["Status"], cells["Ready"]) == (word, ready)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        pytest.param({"running": {}}, "Init:0/2", id="running"),
        pytest.param({"waiting": {"reason": "PodInitializing"}}, "Init:0/2", id="waiting its turn"),
        pytest.param({"waiting": {"reason": "CrashLoopBackOff"}}, "Init:CrashLoopBackOff", id="crashing"),
        pytest.param({"terminated": {"exitCode": 2}}, "Init:ExitCode:2", id="failed"),
        pytest.param({"terminated": {"exitCode": 1, "reason": "Error"}}, "Init:Error", id="failed with a reason"),
    ],
)
def test_init_containers_come_first(row, state, word):
    """The first that has not done its part gives the status."""
    status = {"phase": "Pending", "initContainerStatuses": [{"name": "i", "restartCount": 0, "state": state}]}
    spec = {**_SPEC, "initContainers": [{"name": "i"}, {"name": "j"}]}
    assert row("v1", "Pod", {"spec": spec, "status": status})["Status"] == word


def test_a_pod_being_deleted_terminates(row):
    """Unless it has ended already."""
    deleted = {"metadata": {"deletionTimestamp": HOUR_AGO}, "spec": _SPEC}
    running = {"phase": "Running", "containerStatuses": [_RUNNING]}
    assert (
        row("v1", "Pod", {**deleted, "metadata": dict(deleted["metadata"]), "status": running})["Status"]
        == "Terminating"
    )
    done = {"phase": "Succeeded", "containerStatuses": [_ended(0, "Completed")]}
    assert row("v1", "Pod", {**deleted, "metadata": dict(deleted["metadata"]), "status": done})["Status"] == "Completed"


def test_restarts_say_when_the_last_was(row):
    """The count is of all containers."""
    last = {"terminated": {"finishedAt": "2025-12-31T23:58:30Z"}}
    container = {**_RUNNING, "restartCount": 4, "lastState": last}
    cells = row("v1", "Pod", {"spec": _SPEC, "status": {"phase": "Running", "containerStatuses": [container]}})
    assert cells["Restarts"] == "4 (90s ago)"


def test_wide_columns_of_a_pod(row):
    """`-o wide` adds address and node."""
    obj = {"spec": {**_SPEC, "nodeName": "n"}, "status": {"phase": "Running", "podIP": "127.1.0.2"}}
    cells = row("v1", "Pod", obj, wide=True)
    assert [cells[name] for name in ("IP", "Node", "Nominated Node", "Readiness Gates")] == [
        "127.1.0.2", "n", "<none>", "<none>",
    ]  # fmt: skip


def test_a_node(row):
    """Readiness, cordon and roles."""
    obj = {
        "metadata": {"labels": {"node-role.kubernetes.io/gpu": ""}},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "False"}],
            "nodeInfo": {"kubeletVersion": "v1.37.0"},
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        },
    }
    cells = row("v1", "Node", obj, wide=True)
    assert cells["Status"] == "NotReady,SchedulingDisabled"
    assert (cells["Roles"], cells["Version"], cells["Internal-IP"]) == ("gpu", "v1.37.0", "10.0.0.1")


@pytest.mark.parametrize(
    ("api_version", "kind", "obj", "expected"),
    [
        pytest.param(
            "apps/v1", "Deployment",
            {"spec": {"replicas": 3}, "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}},
            {"Name": "x", "Ready": "2/3", "Up-to-date": 3, "Available": 1, "Age": "60m"},
            id="deployment",
        ),
        pytest.param(
            "apps/v1", "ReplicaSet", {"spec": {"replicas": 3}, "status": {"replicas": 2, "readyReplicas": 1}},
            {"Name": "x", "Desired": 3, "Current": 2, "Ready": 1, "Age": "60m"},
            id="replica set",
        ),
        pytest.param(
            "batch/v1", "Job",
            {
                "spec": {"completions": 2, "parallelism": 1},
                "status": {
                    "succeeded": 2, "startTime": HOUR_AGO, "completionTime": "2025-12-31T23:05:00Z",
                    "conditions": [{"type": "Complete", "status": "True"}],
                },
            },
            {"Name": "x", "Status": "Complete", "Completions": "2/2", "Duration": "5m", "Age": "60m"},
            id="job",
        ),
        pytest.param(
            "v1", "Service",
            {"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "ports": [
                {"port": 80, "nodePort": 30000, "protocol": "TCP"},
            ]}},
            {
                "Name": "x", "Type": "NodePort", "Cluster-IP": "10.0.0.1", "External-IP": "<none>",
                "Port(s)": "80:30000/TCP", "Age": "60m",
            },
            id="service",
        ),
        pytest.param(
            "discovery.k8s.io/v1", "EndpointSlice",
            {"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [
                {"addresses": [f"10.0.0.{number}"]} for number in range(5)
            ]},
            {
                "Name": "x", "AddressType": "IPv4", "Ports": "80",
                "Endpoints": "10.0.0.0,10.0.0.1,10.0.0.2 + 2 more...", "Age": "60m",
            },
            id="endpoint slice",
        ),
        pytest.param(
            "v1", "Event",
            {
                "type": "Warning", "reason": "FailedScheduling", "message": "no\n", "lastTimestamp": HOUR_AGO,
                "involvedObject": {"kind": "Pod", "name": "p"},
            },
            {"Last Seen": "60m", "Type": "Warning", "Reason": "FailedScheduling", "Object": "pod/p", "Message": "no"},
            id="event",
        ),
        pytest.param(
            "policy/v1", "PodDisruptionBudget",
            {"spec": {"maxUnavailable": "50%"}, "status": {"disruptionsAllowed": 2}},
            {"Name": "x", "Min Available": "N/A", "Max Unavailable": "50%", "Allowed Disruptions": 2, "Age": "60m"},
            id="disruption budget",
        ),
        pytest.param(
            "autoscaling/v2", "HorizontalPodAutoscaler",
            {
                "spec": {
                    "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 5,
                    "metrics": [{
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                    }],
                },
                "status": {"currentReplicas": 2},
            },
            {
                "Name": "x", "Reference": "Deployment/d", "Targets": "cpu: <unknown>/80%", "MinPods": 1, "MaxPods": 5,
                "Replicas": 2, "Age": "60m",
            },
            id="autoscaler",
        ),
        pytest.param(
            "coordination.k8s.io/v1", "Lease", {"spec": {"holderIdentity": "me"}},
            {"Name": "x", "Holder": "me", "Age": "60m"},
            id="lease",
        ),
        pytest.param(
            "networking.k8s.io/v1", "Ingress",
            {
                "spec": {"rules": [{"host": "a.b"}], "tls": [{}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}},
            },
            {"Name": "x", "Class": "<none>", "Hosts": "a.b", "Address": "1.2.3.4", "Ports": "80, 443", "Age": "60m"},
            id="ingress",
        ),
        pytest.param(
            "apiextensions.k8s.io/v1", "CustomResourceDefinition", {}, {"Name": "x", "Created At": HOUR_AGO},
            id="definition",
        ),
    ],
)  # fmt: skip
def test_rows(row, api_version, kind, obj, expected):
    """Each kind has kubectl's own columns."""
    assert row(api_version, kind, dict(obj)) == expected


def test_columns_of_custom_resources():
    """Values are found by JSONPath; dates become ages, missing ones stay empty."""
    version = {
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}},
        "additionalPrinterColumns": [
            {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
            {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
            {"name": "Zone", "type": "string", "jsonPath": ".spec.zone", "priority": 1},
            {"name": "Since", "type": "date", "jsonPath": ".status.since"},
        ],
    }  # fmt: skip
    names = {"kind": "Gpu", "plural": "gpus"}
    (info,) = types_from_crd({"spec": {"group": "e.io", "scope": "Cluster", "names": names, "versions": [version]}})
    conditions = [{"type": "Ready", "status": "True"}]
    objects = [
        {"metadata": {"name": "a"}, "spec": {"n": 2}, "status": {"conditions": conditions, "since": HOUR_AGO}},
        {"metadata": {"name": "b"}, "spec": {"n": "x", "zone": "z"}},
    ]
    result = table(info, objects, NOW)
    assert [row["cells"] for row in result["rows"]] == [["a", 2, "True", None, "60m"], ["b", None, None, "z", None]]
    assert [column["priority"] for column in result["columnDefinitions"]] == [0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        pytest.param("Object", {"metadata": {"name": "x"}, "data": {"a": "1"}}, id="the whole object"),
        pytest.param(
            "Metadata",
            {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}},
            id="its metadata",
        ),
        pytest.param("None", None, id="nothing"),
    ],
)
def test_what_a_row_carries(include, expected):
    """The request chooses what stands behind the cells."""
    obj = {"metadata": {"name": "x"}, "data": {"a": "1"}}
    result = table(builtin_type("v1", "ConfigMap"), [obj], NOW, include=include, list_metadata={"resourceVersion": "7"})
    assert result["rows"][0].get("object") == expected
    assert result["metadata"] == {"resourceVersion": "7"}
