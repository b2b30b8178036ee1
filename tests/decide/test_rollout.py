"""A changed template goes out placement by placement."""

import pytest

from controlplane.model.offering import RefusalClass
from controlplane.model.service import PodTemplate
from controlplane.model.template import spec_template_hash


@pytest.fixture
def served(toy):
    """Give three regions that serve one replica each."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1"), toy.make_spec(replicas=3))
    t.until(t.__class__.settled)
    return t


def current(t) -> int:
    return sum(d.hash == spec_template_hash(t.spec, d.offering) for d in t.deployments.values())


def test_one_region_at_a_time(served):
    """No pass changes two placements that serve."""
    served.respec(pod=PodTemplate(image="demo:2", port=7860))
    passed = len(served.log)
    served.run(10)
    assert current(served) == 3
    assert max(sum("template" in str(a) for a in d.plan) for _, d in served.log[passed:]) == 1


def test_it_stops_at_the_first_that_does_not_get_healthy(served):
    """The others keep the template that works."""
    served.respec(pod=PodTemplate(image="demo:broken", port=7860))
    served.one_pass()
    rolled = next(d for d in served.deployments.values() if d.hash == spec_template_hash(served.spec, d.offering))
    served.sick.add(rolled.offering.region)
    served.run(12)
    assert current(served) == 1
    assert served.serving() == 2


def test_a_rejected_template_is_not_sent_again(served, toy):
    """When an API server has refused this generation, nothing more of it is rolled out."""
    from controlplane.decide import note_refusal

    served.respec(pod=PodTemplate(image="demo:3", port=7860))
    where = served.offering("us-a1")
    refusal = RefusalClass.REJECTED_SPEC
    served.memory = note_refusal(
        served.spec, served.memory, where, refusal=refusal, message="denied by Warden", now=served.now
    )
    passed = len(served.log)
    served.run(5)
    assert served.plans(passed) == []


def test_what_holds_no_gpu_is_changed_at_once(toy):
    """A hunting placement has nothing to lose."""
    t = toy.Toy(("us-a1",), silent=True, stock=0)
    t.run(1)
    t.respec(pod=PodTemplate(image="demo:2", port=7860))
    t.one_pass()
    assert current(t) == len(t.deployments) == 1


def test_a_new_replica_count_is_no_rollout(served):
    """Scaling changes no template."""
    served.respec(replicas=2)
    passed = len(served.log)
    served.run(20)
    assert not [p for p in served.plans(passed) if "template" in p]


def test_a_new_template_and_more_replicas_together_roll_no_second_region(served):
    """Asking a serving placement for more would apply the new template there too, so others are asked."""
    served.respec(pod=PodTemplate(image="demo:2", port=7860), replicas=4)
    first = served.one_pass()
    rolled = [a for a in first.plan if a.offering.region in ("us-a1", "us-b1", "us-c1") and a.resource_version]
    assert len(rolled) == 1
    served.run(60)
    assert served.serving() == 4
    assert current(served) == len(served.deployments)
