"""The list of clusters behind the address."""

from dataclasses import replace

import pytest

from controlplane.decide import decide
from controlplane.model.decision import WireIngress
from controlplane.model.facts import Known
from controlplane.model.service import Ingress


def wirings(decision) -> list[WireIngress]:
    return [a for a in decision.plan if isinstance(a, WireIngress)]


def with_ingress(t, **changes):
    observed = t.observe()
    return replace(observed, ingress=Known(replace(observed.ingress.value, **changes), t.now))


def test_the_list_is_written_with_the_first_ready_pod_and_not_before(toy):
    """It is never written empty."""
    t = toy.Toy()
    t.until(lambda w: w.listed is not None)
    assert t.listed == ("us-a1/gpu-1",)
    assert t.deployments[t.offering("us-a1")].pods[0].ready


def test_the_list_is_sorted_and_whole(toy):
    """Every serving cluster is in each write."""
    t = toy.Toy(("us-c1", "us-a1", "us-b1"), toy.make_spec(replicas=3))
    t.until(t.__class__.settled)
    assert t.listed == ("us-a1/gpu-1", "us-b1/gpu-1", "us-c1/gpu-1")
    assert all(links == tuple(sorted(links)) for _, links in t.list_history)


def test_an_addition_is_written_before_the_removal(toy):
    """When the service moves, there is a time at which both are in the list."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    t.set_stock(0, region="us-a1")
    t.preempt("us-a1")
    t.until(t.__class__.settled)
    assert [links for _, links in t.list_history] == [
        ("us-a1/gpu-1",),
        ("us-a1/gpu-1", "us-b1/gpu-1"),
        ("us-b1/gpu-1",),
    ]


def test_nothing_ready_keeps_the_list_as_it_is(toy):
    """When everything is lost at once, the address stays wired to where it was."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    t.set_stock(0)
    t.preempt("us-a1")
    t.run(60)
    assert t.listed == ("us-a1/gpu-1",)


def test_changed_ingress_settings_are_written_with_the_same_list(toy):
    """The fingerprint differs, the clusters do not."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    t.respec(ingress=Ingress(timeout_seconds=600))
    decision = t.one_pass()
    assert [(w.clusters, w.adds, w.removes) for w in wirings(decision)] == [(("us-a1/gpu-1",), (), ())]
    assert not wirings(t.run(1))


def test_a_foreign_ingress_is_left_alone_and_told(toy):
    """No write, and a condition that says why (S7)."""
    t = toy.Toy()
    t.run(5)
    decision = decide(t.spec, with_ingress(t, foreign=True, clusters=("other/one",)), t.memory, t.now)
    assert not wirings(decision)
    assert {c.type: c.reason for c in decision.conditions}["AddressReady"] == "ForeignObject"


def test_clusters_of_another_hand_leave_the_list_while_ours_serve(toy):
    """The list is ours as a whole."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    t.listed = ("elsewhere/one", "us-a1/gpu-1")
    t.run(2)
    assert t.listed == ("us-a1/gpu-1",)


def test_a_deleted_multi_cluster_service_is_made_again(toy):
    """The next pass writes the whole list."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    t.listed = None
    t.run(1)
    assert t.listed == ("us-a1/gpu-1",)


@pytest.mark.parametrize(("answers", "stays"), [(True, True), (False, False)], ids=["it answers", "it is gone"])
def test_a_cluster_that_shows_nothing_leaves_only_when_nothing_answers_there(toy, answers, stays):
    """An answer with no Deployment and no Pod may have been cut short; the load balancer knows better (S2)."""
    t = toy.Toy(("us-a1", "us-b1"), toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    observed, cut = with_ingress(t, healthy=Known({"us-a1": int(answers), "us-b1": 1}, t.now)), t.clusters[0]
    members = {**observed.members, cut: replace(observed.members[cut], workloads=Known((), t.now))}
    removed = {
        link
        for wiring in wirings(decide(replace(t.spec, replicas=1), replace(observed, members=members), t.memory, t.now))
        for link in wiring.removes
    }
    assert (cut.link not in removed) is stays
