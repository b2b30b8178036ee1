"""A changed template goes out placement by placement."""

import pytest

from controlplane.model.offering import Capacity, RefusalClass
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


def templates(t, since: int) -> list[str]:
    """Give the regions in which a template was changed, in that order."""
    return [a.offering.region for _, d in t.log[since:] for a in d.plan if "template" in str(a)]


@pytest.fixture
def crowded(toy):
    """Give two regions that hold two placements each, whose Deployments replace their Pods one by one."""
    t = toy.Toy(("us-a1", "us-b1"), toy.make_spec(replicas=4), stock=2, surges=True)
    t.set_stock(2, capacity=Capacity.SPOT)
    for region in ("us-a1", "us-b1"):
        t.set_stock(1, region, capacity=Capacity.SPOT)
    t.until(t.__class__.settled)
    assert [o.region for o in t.serving_offerings()] == ["us-a1", "us-a1", "us-b1", "us-b1"]
    t.set_stock(2)
    return t


@pytest.fixture
def surging(toy):
    """Give three regions that serve one replica each, whose Deployments replace their Pods one by one."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1"), toy.make_spec(replicas=3), surges=True)
    t.until(t.__class__.settled)
    return t


def spoil(t) -> str:
    """Roll out an image that never gets ready; give the region that got it."""
    t.respec(pod=PodTemplate(image="demo:broken", port=7860))
    t.bad |= {spec_template_hash(t.spec, o) for o in t.offerings()}
    t.one_pass()
    (rolled,) = [d for d in t.deployments.values() if d.hash == spec_template_hash(t.spec, d.offering)]
    return rolled.offering.region


def test_a_region_is_finished_before_the_next_is_begun(crowded):
    """Of two regions with two placements each, both of the first are changed before any of the second."""
    crowded.respec(pod=PodTemplate(image="demo:2", port=7860))
    since = len(crowded.log)
    crowded.run(60)
    regions = templates(crowded, since)
    assert current(crowded) == len(crowded.deployments)
    assert regions[0] == regions[1] != regions[2] == regions[3]


def test_a_template_that_its_controller_has_not_taken_up_proves_nothing(surging):
    """Right after the change the old Pods still serve and look whole; no second region is begun for that."""
    surging.respec(pod=PodTemplate(image="demo:2", port=7860))
    surging.one_pass()
    for _ in range(5):
        surging.one_pass()
    assert current(surging) == 1
    surging.run(20)
    assert current(surging) == 3
    assert surging.serving() == 3


def test_a_bad_image_stops_at_the_first_region_and_what_serves_serves_on(surging):
    """Hours later the others have the old template, all replicas serve, and the status says where, and what to do."""
    where = spoil(surging)
    surging.run(240)
    assert current(surging) == 1
    assert surging.serving() == 3
    told = surging.condition("Progressing")
    assert (told.status, told.reason) == ("False", "RolloutStopped")
    assert where in told.message
    assert "2 placements are not begun" in told.message
    assert "correct spec.pod or set it back" in told.message


def test_a_template_set_back_is_back_at_once(surging, toy):
    """The region that is not well is changed in the very next pass, with no back-off to wait for."""
    where, good = spoil(surging), toy.make_spec().pod
    surging.run(60)
    surging.respec(pod=good)
    since = len(surging.log)
    surging.one_pass()
    assert templates(surging, since) == [where]
    surging.run(10)
    assert current(surging) == surging.serving() == 3
    assert surging.condition("Progressing").reason == "Steady"


def test_a_mended_template_goes_to_the_sick_region_first(surging):
    """The third image is tried where the second failed, and then goes everywhere."""
    where = spoil(surging)
    surging.run(60)
    surging.respec(pod=PodTemplate(image="demo:mended", port=7860))
    since = len(surging.log)
    surging.run(30)
    assert templates(surging, since)[0] == where
    assert current(surging) == surging.serving() == 3


def test_a_region_that_went_dark_half_way_has_proven_nothing(surging):
    """No second region is begun while nobody can see how the first one does."""
    where = spoil(surging)
    surging.dark.add(f"{where}/gpu-1")
    since = len(surging.log)
    surging.run(1)
    assert f"not proven in {where}/gpu-1" in surging.condition("Progressing").message
    surging.run(30)
    assert templates(surging, since) == []
    surging.dark.clear()
    surging.bad.clear()
    surging.run(30)
    assert current(surging) == len(surging.deployments)


def test_a_template_that_failed_where_nothing_old_was_left_goes_nowhere_else(surging):
    """Also when its back-off is over and its placement is gone, as long as it serves nowhere."""
    where = spoil(surging)
    surging.preempt(where)
    surging.run(240)
    good = {region for region in ("us-a1", "us-b1", "us-c1") if region != where}
    old = {d.offering.region for d in surging.deployments.values() if d.hash not in surging.bad}
    assert good <= old
    assert surging.condition("Progressing").reason == "RolloutStopped"
