"""What a user may write into a GPUService, and what is said of what may not be written."""

import copy
from datetime import timedelta
from typing import Any

import pytest

from controlplane.api import SpecError, parse_service
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.service import IngressKind, Policy, Preset


def minimal() -> dict[str, Any]:
    return {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "GPUService",
        "metadata": {"name": "demo"},
        "spec": {"accelerators": [{"type": "nvidia-l4"}], "pod": {"image": "app:1"}},
    }


QUEUE = {"metric": {"name": "queue"}, "target": {"averageValue": "5"}}
PODS = {"type": "Pods", "pods": QUEUE}


def changed(path: str, value: Any) -> dict[str, Any]:
    obj = copy.deepcopy(minimal())
    *parents, last = path.split(".")
    node = obj
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
    return obj


def test_both_kinds_of_ingress_may_have_a_reserved_address() -> None:
    """While a service moves each wiring holds its own, so both may be named; the default is MultiClusterIngress."""
    assert parse_service(minimal()).ingress.kind is IngressKind.MULTI_CLUSTER_INGRESS
    both = {"kind": "MultiClusterGateway", "staticAddress": "203.0.113.7", "staticAddressName": "sd-ip"}
    ingress = parse_service(changed("spec.ingress", both)).ingress
    assert ingress.kind is IngressKind.MULTI_CLUSTER_GATEWAY
    assert (ingress.static_address, ingress.static_address_name) == ("203.0.113.7", "sd-ip")


def test_the_smallest_service_gets_documented_defaults() -> None:
    """A service that names a GPU and an image is complete; Spot comes before on-demand, timing follows GKE's."""
    spec = parse_service(minimal())
    assert (spec.replicas, spec.namespace, spec.pod.port) == (1, "default", 7860)
    assert spec.capacity_types == (Capacity.SPOT, Capacity.ON_DEMAND)
    assert spec.accelerators == (Accelerator("nvidia-l4", 1),)
    assert spec.timing.attempt_deadline == timedelta(minutes=15)
    assert spec.max_hourly_cost is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param({}, Policy(), id="nothing"),
        pytest.param({"preset": None, "maxSpares": None}, Policy(), id="nulls"),
        pytest.param({"preset": "frugal"}, Policy(Preset.FRUGAL), id="frugal"),
        pytest.param({"preset": "balanced"}, Policy(Preset.BALANCED), id="balanced"),
        pytest.param(
            {"preset": "available", "missingReplicaCost": 3, "maxSpares": 0},
            Policy(Preset.AVAILABLE, missing_replica_cost=3.0, max_spares=0),
            id="preset-with-a-price-and-without-spares",
        ),
        pytest.param({"missingReplicaCost": 0.25}, Policy(missing_replica_cost=0.25), id="price-alone"),
    ],
)
def test_what_is_valued_is_what_was_written(written: dict[str, Any], expected: Policy) -> None:
    """A preset, a price of a missing replica and a bound on spares arrive as written; unsaid stays unsaid."""
    assert parse_service(changed("spec.policy", written)).policy == expected
    assert parse_service(minimal()).policy == Policy()


@pytest.mark.parametrize(
    ("written", "cpu", "metrics"),
    [
        pytest.param({}, 25, 0, id="cpu-by-default"),
        pytest.param({"targetCPUUtilization": 60}, 60, 0, id="cpu"),
        pytest.param({"metrics": [PODS]}, None, 1, id="a-metric-alone"),
        pytest.param({"metrics": [PODS, PODS], "targetCPUUtilization": 60}, 60, 2, id="both"),
    ],
)
def test_placements_grow_by_what_was_named(written: dict[str, Any], cpu: int | None, metrics: int) -> None:
    """Without a word nothing grows; by CPU where nothing else is named; metrics keep their form."""
    assert parse_service(minimal()).autoscaling is None
    found = parse_service(changed("spec.autoscaling", {"maxReplicas": 4, **written})).autoscaling
    assert found is not None
    assert (found.max_replicas, found.target_cpu, len(found.metrics)) == (4, cpu, metrics)
    target = {"type": "AverageValue", "averageValue": "5"}
    assert all(m == {"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": target}} for m in found.metrics)


def test_the_startup_budget_is_at_least_the_warm_up() -> None:
    """A model that loads for the whole warm-up is not shot by its own startup probe."""
    probe = parse_service(minimal()).pod.startup_probe
    assert probe is not None
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 15 * 60


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param("spec.replcas", 2, 'spec.replcas: unknown key; did you mean "replicas"?', id="unknown-key"),
        pytest.param("spec.ingress.kind", "Gateway", "spec.ingress.kind: 'Gateway' is not allowed here", id="kind"),
        pytest.param(
            "spec.ingress",
            {"kind": "MultiClusterGateway", "staticAddress": "203.0.113.7"},
            "spec.ingress: staticAddress is for MultiClusterIngress; a MultiClusterGateway takes the name",
            id="address-for-the-other-kind",
        ),
        pytest.param(
            "spec.ingress",
            {"staticAddressName": "sd-ip"},
            "spec.ingress: staticAddressName is for MultiClusterGateway; a MultiClusterIngress takes",
            id="name-for-the-other-kind",
        ),
        pytest.param("spec.ingress.staticAddressName", "203.0.113.7", "spec.ingress.staticAddressName: ", id="no-name"),
        pytest.param("spec.replicas", 0, "spec.replicas: 0 is not allowed here; give at least 1", id="zero"),
        pytest.param("spec.replicas", -3, "spec.replicas: -3 is not allowed here; give at least 1", id="negative"),
        pytest.param("spec.replicas", "2", "spec.replicas: '2' is not allowed here; write a whole number", id="quoted"),
        pytest.param("spec.replicas", True, "spec.replicas: True is not allowed here; write a whole", id="boolean"),
        pytest.param("spec.replicas", 1.5, "spec.replicas: 1.5 is not allowed here", id="fraction"),
        pytest.param("spec.replicas", 10**30, "spec.replicas: ", id="huge"),
        pytest.param("spec.maxHourlyCost", float("nan"), "spec.maxHourlyCost: nan is not allowed here", id="nan"),
        pytest.param("spec.maxHourlyCost", float("inf"), "spec.maxHourlyCost: inf is not allowed", id="infinite"),
        pytest.param(
            "spec.maxHourlyCost", "5", "spec.maxHourlyCost: write it as a number of USD an hour", id="cap-as-text"
        ),
        pytest.param("spec.maxHourlyCost", 0, "spec.maxHourlyCost: 0 is not allowed here; give more", id="cap-zero"),
        pytest.param(
            "spec.accelerators",
            [{"type": "nvidia-l5"}],
            'spec.accelerators[0].type: "nvidia-l5" is not a GPU type of GKE; did you mean "nvidia-l4"?',
            id="unknown-gpu",
        ),
        pytest.param("spec.accelerators", [], "spec.accelerators: [] is not allowed here; give", id="no-gpu"),
        pytest.param("spec.accelerators", [{"type": "nvidia-l4", "count": 3}], "use 1, 2, 4 or 8", id="three-gpus"),
        pytest.param(
            "spec.accelerators", [{"type": "nvidia-l4"}, {"type": "nvidia-l4"}], "repeats an earlier one", id="twice"
        ),
        pytest.param("spec.capacityTypes", ["preemptible"], "use 'on-demand', 'spot' or 'flex-start'", id="capacity"),
        pytest.param("spec.regions", {"allowed": ["us-centrall1"]}, 'did you mean "us-central1"?', id="unknown-region"),
        pytest.param("spec.regions", {"allowed": []}, "spec.regions.allowed: [] is not allowed", id="empty-regions"),
        pytest.param(
            "spec.regions",
            {"allowed": ["us-east1"], "denied": ["us-east1"]},
            "spec.regions: every allowed region is also denied",
            id="allowed-and-denied",
        ),
        pytest.param("spec.spread", {"minRegions": 2}, "spec: spread.minRegions is more than replicas", id="spread"),
        pytest.param(
            "spec.policy.preset",
            "cheap",
            "spec.policy.preset: 'cheap' is not allowed here; use 'frugal', 'balanced' or 'available'",
            id="preset",
        ),
        pytest.param("spec.policy", "frugal", "spec.policy: 'frugal' is not allowed here; write a map", id="policy"),
        pytest.param("spec.policy.missingReplicaCost", 0, "give more than 0", id="missing-cost-zero"),
        pytest.param("spec.policy.missingReplicaCost", -1, "give more than 0", id="missing-cost-negative"),
        pytest.param("spec.policy.missingReplicaCost", 2e6, "give at most 1e+06", id="missing-cost-too-much"),
        pytest.param("spec.policy.missingReplicaCost", float("nan"), "Cost: nan is not allowed", id="missing-cost-nan"),
        pytest.param(
            "spec.policy.missingReplicaCost",
            "2 USD",
            "spec.policy.missingReplicaCost: write it as a number of USD an hour",
            id="missing-cost-text",
        ),
        pytest.param("spec.policy.maxSpares", -1, "maxSpares: -1 is not allowed here; give at least 0", id="spares"),
        pytest.param("spec.policy.maxSpares", 1.5, "spec.policy.maxSpares: 1.5 is not allowed", id="spares-fraction"),
        pytest.param("spec.policy.maxSpare", 1, 'unknown key; did you mean "maxSpares"?', id="policy-key"),
        pytest.param("spec.timing", {"attemptDeadline": 15}, "15 is not a duration", id="duration-as-number"),
        pytest.param("spec.timing", {"attemptDeadline": "0s"}, "out of range", id="duration-zero"),
        pytest.param("spec.timing", {"attemptDeadline": "9999h"}, "out of range", id="duration-too-long"),
        pytest.param(
            "spec.timing", {"backoff": {"initial": "5m", "max": "1m"}}, "max is shorter than initial", id="backoff"
        ),
        pytest.param("spec.pod", None, "spec.pod: None is not allowed here; write a mapping", id="no-pod"),
        pytest.param("spec.pod", {"image": ""}, "spec.pod.image: '' is not allowed here", id="no-image"),
        pytest.param("spec.pod", {"image": "a", "port": 70000}, "give at most 65535", id="port"),
        pytest.param(
            "spec.pod",
            {"image": "a", "resources": {"cpu": "0"}},
            'spec.pod.resources.cpu: "0" asks for nothing',
            id="zero-cpu",
        ),
        pytest.param(
            "spec.pod",
            {"image": "a", "terminationGrace": "5s", "preStop": "5s"},
            "preStop uses up the whole terminationGrace",
            id="grace",
        ),
        pytest.param("spec.pod", {"image": "a", "runAsUser": 0}, "give at least 1", id="root"),
        pytest.param(
            "spec.pod", {"image": "a", "scratch": [{"path": "tmp"}]}, "spec.pod.scratch[0].path: 'tmp'", id="no-path"
        ),
        pytest.param(
            "spec.pod",
            {"image": "a", "scratch": [{"path": "/tmp"}, {"path": "/tmp"}]},
            'spec.pod.scratch: "/tmp" is named twice; keep one',
            id="scratch-twice",
        ),
        pytest.param("metadata.name", "Demo", "metadata.name: 'Demo' is not a name", id="name"),
        pytest.param("metadata.name", "x" * 40, "metadata.name: has 40 characters; use at most 30", id="long-name"),
        pytest.param("kind", "GpuService", "kind: is 'GpuService'; write kind: GPUService", id="kind"),
        pytest.param("apiVersion", "v1", "apiVersion: is 'v1'; write apiVersion: gpuhunter.dev/v1alpha1", id="version"),
        pytest.param("spec.autoscaling", {}, "spec.autoscaling.maxReplicas: is missing", id="no-maximum"),
        pytest.param(
            "spec",
            {**minimal()["spec"], "replicas": 3, "autoscaling": {"maxReplicas": 2}},
            "autoscaling.maxReplicas is 2, and 3 may be wanted of one placement; raise it",
            id="grows-below-what-is-wanted",
        ),
        pytest.param(
            "spec",
            {**minimal()["spec"], "spread": {"maxReplicasPerRegion": 3}, "autoscaling": {"maxReplicas": 4}},
            "autoscaling.maxReplicas is 4, and spread.maxReplicasPerRegion is 3; lower it",
            id="grows-beyond-its-region",
        ),
        pytest.param(
            "spec.autoscaling",
            {"maxReplicas": 4, "targetCpuUtilization": 50},
            'spec.autoscaling.targetCpuUtilization: unknown key; did you mean "targetCPUUtilization"?',
            id="cpu-key",
        ),
        pytest.param(
            "spec.autoscaling",
            {"maxReplicas": 4, "targetCPUUtilization": 0},
            "spec.autoscaling.targetCPUUtilization: 0 is not allowed here; give at least 1",
            id="cpu-zero",
        ),
        pytest.param(
            "spec.autoscaling",
            {"maxReplicas": 4, "metrics": [{"type": "Object"}]},
            "spec.autoscaling.metrics[0].type: 'Object' is not allowed here; use 'Pods' or 'External'",
            id="metric-type",
        ),
        pytest.param(
            "spec.autoscaling",
            {"maxReplicas": 4, "metrics": [{"type": "External", "pods": QUEUE}]},
            "spec.autoscaling.metrics[0]: a metric of type External is described under external and nowhere else; wri",
            id="metric-section",
        ),
        pytest.param(
            "spec.autoscaling",
            {"maxReplicas": 4, "metrics": [{"type": "External", "external": QUEUE | {"target": {"type": "Value"}}}]},
            "spec.autoscaling.metrics[0].external.target: a target of type Value has value and no other amount; set",
            id="metric-amount",
        ),
        pytest.param("specs", {}, 'specs: unknown key; did you mean "spec"?', id="top-level-key"),
    ],
)
def test_a_wrong_field_gets_one_line_with_path_fault_and_remedy(path: str, value: Any, expected: str) -> None:
    """Every wrong value is refused in one line that names the path, what is wrong and what to do."""
    with pytest.raises(SpecError) as caught:
        parse_service(changed(path, value))
    lines = str(caught.value).splitlines()
    assert any(expected in line for line in lines), lines
    assert all(line.count(";") >= 1 for line in lines)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A user mends a file once, not once per mistake."""
    obj = changed("spec.replicas", 0)
    obj["spec"]["pod"]["image"] = ""
    obj["kind"] = "x"
    with pytest.raises(SpecError) as caught:
        parse_service(obj)
    assert {problem.path for problem in caught.value.problems} == {"kind", "spec.replicas", "spec.pod.image"}
