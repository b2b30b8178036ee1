"""The fingerprints change with what is rendered, and with nothing else."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering
from controlplane.model.service import Ingress, PodTemplate, Regions, Scratch, ServiceSpec, Spread
from controlplane.model.template import ingress_spec_hash, spec_template_hash

SPEC = ServiceSpec(
    name="web",
    namespace="default",
    uid="u",
    generation=1,
    replicas=2,
    accelerators=(Accelerator("nvidia-l4"),),
    pod=PodTemplate(
        image="demo:1", port=7860, env=({"name": "A", "value": "1"},), requests={"cpu": "1", "memory": "2Gi"}
    ),
)
HERE = Offering(ClusterRef("us-central1", "gpu-1"), Accelerator("nvidia-l4"), Capacity.SPOT)

SAME = {
    "replicas": {"replicas": 5},
    "generation": {"generation": 9},
    "regions": {"regions": Regions(denied=frozenset({"us-east4"}))},
    "spread": {"spread": Spread(2)},
    "cost-cap": {"max_hourly_cost": 3.0},
    "ingress": {"ingress": Ingress(timeout_seconds=900)},
    "order-of-accelerators": {"accelerators": (Accelerator("nvidia-tesla-t4"), Accelerator("nvidia-l4"))},
}
POD = {
    "image": {"image": "demo:2"},
    "port": {"port": 80},
    "args": {"args": ("--listen",)},
    "env-value": {"env": ({"name": "A", "value": "2"},)},
    "requests": {"requests": {"cpu": "2", "memory": "2Gi"}},
    "probe": {"readiness_probe": {"httpGet": {"path": "/readyz", "port": 7860}}},
    "grace": {"termination_grace_seconds": 60},
    "user": {"run_as_user": 10001},
    "scratch": {"scratch": (Scratch("/tmp"),)},
}


@pytest.mark.parametrize("case", SAME)
def test_what_is_not_in_the_pod_rolls_nothing(case):
    """Scaling, residency and money change no template."""
    assert spec_template_hash(replace(SPEC, **SAME[case]), HERE) == spec_template_hash(SPEC, HERE)


@pytest.mark.parametrize("case", POD)
def test_what_is_in_the_pod_rolls(case):
    """Every field of the Pod changes the fingerprint."""
    changed = replace(SPEC, pod=replace(SPEC.pod, **POD[case]))
    assert spec_template_hash(changed, HERE) != spec_template_hash(SPEC, HERE)


def test_placements_have_fingerprints_of_their_own():
    """The offering is part of the template: node selectors and environment."""
    there = replace(HERE, capacity=Capacity.ON_DEMAND)
    assert spec_template_hash(SPEC, there) != spec_template_hash(SPEC, HERE)


def test_the_order_of_keys_does_not_matter():
    """A mapping is a mapping, whatever its kind."""
    requests = MappingProxyType({"memory": "2Gi", "cpu": "1"})
    same = replace(SPEC, pod=replace(SPEC.pod, requests=requests))
    assert spec_template_hash(same, HERE) == spec_template_hash(SPEC, HERE)


def test_a_fingerprint_is_a_short_valid_annotation():
    """Sixteen hexadecimal digits, the same in every process."""
    assert spec_template_hash(SPEC, HERE) == spec_template_hash(SPEC, HERE)
    assert len(spec_template_hash(SPEC, HERE)) == 16
    assert int(spec_template_hash(SPEC, HERE), 16) >= 0


@pytest.mark.parametrize(
    "changes",
    [{"ingress": Ingress(draining_seconds=10)}, {"pod": replace(SPEC.pod, port=80)}, {"name": "other"}],
    ids=["settings", "port", "name"],
)
def test_ingress_settings_change_the_ingress_fingerprint(changes):
    """The list of clusters is not part of it, these are."""
    assert ingress_spec_hash(replace(SPEC, **changes)) != ingress_spec_hash(SPEC)


def test_a_new_image_leaves_the_ingress_alone():
    """A rollout is no reason to reprogram a load balancer."""
    assert ingress_spec_hash(replace(SPEC, pod=replace(SPEC.pod, image="demo:2"))) == ingress_spec_hash(SPEC)
