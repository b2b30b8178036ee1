"""Whether a Pod fits a node, and the texts of FailedScheduling."""

import pytest

from controlplane.localcloud.autopilot.fitting import misfits, unschedulable_message
from controlplane.localcloud.autopilot.pods import requests

AFFINITY = "node(s) didn't match Pod's node affinity/selector"


@pytest.fixture
def node():
    return {
        "metadata": {"name": "n1", "labels": {"zone": "a", "cards": "4"}},
        "spec": {"taints": [{"key": "gpu", "value": "present", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "2"}},
    }


@pytest.fixture
def spec():
    def spec(*expressions, cpu="1", **more):
        affinity = {}
        if expressions:
            terms = [{"matchExpressions": [expression]} for expression in expressions]
            required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
            affinity = {"affinity": {"nodeAffinity": required}}
        containers = [{"resources": {"requests": {"cpu": cpu}}}]
        tolerations = [{"key": "gpu", "operator": "Exists"}]
        return {"containers": containers, "tolerations": tolerations, **affinity, **more}

    return spec


def _expression(key, operator, *values):
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("expressions", "fits"),
    [
        pytest.param([_expression("zone", "In", "a", "b")], True, id="in"),
        pytest.param([_expression("zone", "In", "b")], False, id="not-in-the-values"),
        pytest.param([_expression("zone", "NotIn", "b")], True, id="notin"),
        pytest.param([_expression("none", "NotIn", "b")], True, id="notin-without-label"),
        pytest.param([_expression("zone", "Exists")], True, id="exists"),
        pytest.param([_expression("zone", "DoesNotExist")], False, id="does-not-exist"),
        pytest.param([_expression("none", "DoesNotExist")], True, id="absent"),
        pytest.param([_expression("cards", "Gt", "3")], True, id="gt"),
        pytest.param([_expression("cards", "Lt", "4")], False, id="lt"),
        pytest.param([_expression("zone", "Gt", "3")], False, id="gt-of-text"),
        pytest.param([_expression("zone", "In", "b"), _expression("cards", "In", "4")], True, id="either-term"),
    ],
)
def test_required_affinity(node, spec, expressions, fits):
    """Every operator of node selector terms; terms are alternatives."""
    assert misfits(spec(*expressions), node, {}) == ([] if fits else [AFFINITY])


@pytest.mark.parametrize(
    ("tolerations", "fits"),
    [
        pytest.param([], False, id="none"),
        pytest.param([{"operator": "Exists"}], True, id="everything"),
        pytest.param([{"key": "gpu", "value": "present"}], True, id="equal-by-default"),
        pytest.param([{"key": "gpu", "value": "absent"}], False, id="other-value"),
        pytest.param([{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}], False, id="other-effect"),
    ],
)
def test_tolerations(node, spec, tolerations, fits):
    """A hard taint needs a toleration that covers it."""
    expected = [] if fits else ["node(s) had untolerated taint {gpu: present}"]
    assert misfits(spec(tolerations=tolerations), node, {}) == expected


def test_a_soft_taint_keeps_nobody_away(node, spec):
    """PreferNoSchedule is a preference."""
    node["spec"]["taints"] = [{"key": "slow", "effect": "PreferNoSchedule"}]
    assert misfits(spec(), node, {}) == []


def test_a_cordoned_node_is_unschedulable(node, spec):
    """Cordon comes before every other reason."""
    node["spec"]["unschedulable"] = True
    assert misfits(spec(tolerations=[]), node, {}) == ["node(s) were unschedulable"]


def test_every_resource_that_is_short_is_named(node, spec):
    """What is used counts, Pods included."""
    used = requests({"containers": [{"resources": {"requests": {"cpu": "1500m", "pods": "2"}}}]})
    assert misfits(spec(), node, used) == ["Too many pods", "Insufficient cpu"]


def test_the_text_counts_nodes_by_reason():
    """As kube-scheduler sorts and says it, with whether preemption would help."""
    reasons = [[AFFINITY], [AFFINITY], ["Insufficient nvidia.com/gpu"]]
    assert unschedulable_message(reasons) == (
        "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) didn't match Pod's node affinity/selector. "
        "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not "
        "helpful for scheduling."
    )
    assert unschedulable_message([[AFFINITY]] * 3) == (
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )


def test_init_containers_count_by_their_largest_and_sidecars_are_added():
    """The scheduler's sum for a whole Pod."""

    def container(cpu, **more):
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    init = [container("3"), container("500m", restartPolicy="Always")]
    assert requests({"containers": [container("1")], "initContainers": init})["cpu"] == 3
    assert requests({"containers": [container("4")], "initContainers": init})["cpu"] == 4.5
