"""From one kind of ingress to the other: what is observed of both wirings decides, and no client meets a gap."""

from dataclasses import dataclass, field, replace

import pytest

from controlplane.decide import decide
from controlplane.model.decision import UnwireIngress, WireIngress
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.memory import Memory
from controlplane.model.observation import IngressFact
from controlplane.model.service import Ingress, IngressKind, Spread
from controlplane.model.template import ingress_spec_hash

OLD, NEW = IngressKind.MULTI_CLUSTER_INGRESS, IngressKind.MULTI_CLUSTER_GATEWAY
OTHER = {OLD: NEW, NEW: OLD}
ADDRESSES = {OLD: "203.0.113.7", NEW: "203.0.113.8"}


@dataclass
class Wire:
    """One wiring: its list now and over time, and what is wrong with it."""

    listed: tuple[str, ...] | None = None
    history: list = field(default_factory=list)
    hash: str = ""
    sick: bool = False
    blind: tuple[str, ...] = ()
    stale: bool = False
    going: bool = False
    remains: bool = False
    foreign: bool = False
    taken_down_at: list = field(default_factory=list)


@pytest.fixture
def two(toy):
    """Give a maker of toy clouds with a load balancer for each kind of ingress."""

    class Two(toy.Toy):
        def __init__(self, *args, **more):
            super().__init__(*args, **more)
            self.wires = {OLD: Wire(), NEW: Wire()}
            self.told = []

        def behind(self, kind):
            wire = self.wires[kind]
            self.list_history = wire.history
            return {} if wire.sick else {r: n for r, n in self.healthy().items() if r not in wire.blind}

        def fact(self, kind):
            wire = self.wires[kind]
            there = wire.listed is not None
            healthy = Known(self.behind(kind), self.now) if there else Known({}, self.now)
            return IngressFact(
                wire.listed, ADDRESSES[kind] if there else None, healthy, "" if wire.stale else wire.hash, "1",
                foreign=wire.foreign, kind=kind, present=there or wire.remains, going=wire.going,
            )  # fmt: skip

        def observe(self):
            seen = super().observe()
            kind = self.spec.ingress.kind
            other = self.fact(OTHER[kind])
            mine = replace(self.fact(kind), other=other if other.present else None)
            return replace(seen, ingress=Known(mine, self.now))

        def perform(self, action):
            wire = self.wires.get(getattr(action, "kind", None))
            if isinstance(action, WireIngress):
                wire.listed = action.clusters
                wire.history = [*wire.history, (self.now, action.clusters)]
                wire.hash = wire.hash if action.list_only else ingress_spec_hash(self.spec, action.kind)
            elif isinstance(action, UnwireIngress):
                wire.listed, wire.history, wire.hash, wire.remains = None, [], "", False
                wire.taken_down_at.append(self.now)
            else:
                super().perform(action)

        def check(self, decision):
            """Hold the address that is told to what answers there (instead of the toy's own single list)."""

        def check_after(self, decision, before):
            self.told.append((self.now, decision.wired_by))

        def serves(self):
            kind = self.told[-1][1]
            return sum(self.behind(kind).values())

        def change(self, kind):
            self.respec(ingress=replace(self.spec.ingress, kind=kind))

        def moved(self):
            """Move to the Gateway, up to the first pass that tells its address."""
            self.change(NEW)
            while self.told[-1][1] is not NEW:
                self.step(toy.seconds(20))
                self.one_pass()

        def watched(self, passes, dt, least=1):
            """Run passes; at every one something answers at the address that is told."""
            for _ in range(passes):
                self.step(dt)
                self.one_pass()
                assert self.serves() >= least, self.told[-1]

    def make(kind=OLD, replicas=2):
        spec = toy.make_spec(
            replicas=replicas, spread=Spread(max_replicas_per_region=1), ingress=Ingress(draining_seconds=60, kind=kind)
        )
        made = Two(("us-a1", "us-b1", "us-c1"), spec)
        for _ in range(30):
            made.one_pass()
            made.step(toy.seconds(30))
        assert sum(made.behind(kind).values()) == replicas
        return made

    make.seconds = toy.seconds
    return make


def wirings(decision):
    return [(type(a).__name__, a.kind) for a in decision.plan if isinstance(a, WireIngress | UnwireIngress)]


@pytest.mark.parametrize("old", [OLD, NEW], ids=["to-gateway", "back"])
def test_a_move_makes_proves_tells_waits_and_then_takes_down(two, old):
    """The old address is the service's until the new one has been proven for a while, and answers for as long again."""
    new = OTHER[old]
    t = two(old)
    t.change(new)
    begun = t.now
    t.watched(40, two.seconds(30), least=2)
    assert t.wires[old].listed is None
    assert t.wires[new].listed is not None
    switched = next(at for at, kind in t.told if at >= begun and kind is new)
    (gone,) = t.wires[old].taken_down_at
    patience = two.seconds(t.spec.ingress.draining_seconds + t.spec.ingress.check_interval_seconds)
    assert switched - begun >= t.lag + patience
    assert gone - switched >= patience
    assert t.memory.rewired is None
    assert not t.one_pass().plan


def test_the_status_tells_both_addresses_and_that_one_changes(two):
    """AddressReady stays True, with AddressMoving and then AddressMoved while both are there."""
    t = two()
    t.change(NEW)
    seen = set()
    for _ in range(30):
        t.step(two.seconds(30))
        t.one_pass()
        condition = t.condition("AddressReady")
        assert condition.status == "True"
        if t.wires[OLD].listed and t.wires[NEW].listed:
            assert condition.reason == ("AddressMoved" if t.told[-1][1] is NEW else "AddressMoving")
            seen.add(condition.message)
    assert any("203.0.113.7 until the MultiClusterGateway is proven" in message for message in seen)
    assert any("the address is 203.0.113.8 now; 203.0.113.7" in message for message in seen)


def test_a_new_wiring_that_does_not_answer_leaves_the_old_one_for_good(two):
    """Nothing is told or taken down, and after its objects are written there is silence (L1)."""
    t = two()
    t.wires[NEW].sick = True
    t.change(NEW)
    t.watched(60, two.seconds(60), least=2)
    assert {kind for _, kind in t.told} == {OLD}
    assert not t.one_pass().plan


def test_a_new_wiring_that_fails_after_it_was_told_gives_way_to_the_old_one(two):
    """Within the time in which both answer, the service goes back to the one that serves."""
    t = two()
    t.moved()
    t.wires[NEW].sick = True
    t.one_pass()
    assert t.told[-1][1] is OLD
    t.watched(20, two.seconds(30), least=2)
    assert t.wires[OLD].listed
    t.wires[NEW].sick = False
    t.watched(30, two.seconds(30), least=2)
    assert t.told[-1][1] is NEW
    assert t.wires[OLD].listed is None


@pytest.mark.parametrize(
    "flaw",
    [{"going": True}, {"blind": ("us-a1",)}, {"stale": True}],
    ids=["being-deleted", "serves-less", "old-settings"],
)
def test_a_new_wiring_that_is_not_whole_is_not_told(two, flaw):
    """It must stay, be written as asked for, and serve everywhere where the old one serves, before anybody is sent."""
    t = two()
    t.change(NEW)
    t.watched(1, two.seconds(30), least=2)
    t.wires[NEW] = replace(t.wires[NEW], **flaw)
    t.watched(40, two.seconds(30), least=2)
    assert {kind for _, kind in t.told} == {OLD}
    t.wires[NEW] = replace(t.wires[NEW], **dict.fromkeys(flaw, ()))
    t.watched(40, two.seconds(30), least=2)
    assert t.told[-1][1] is NEW


def test_the_old_wiring_stays_while_the_new_one_serves_less(two):
    """Also once the new address has been told: what can still answer is not taken down."""
    t = two()
    t.moved()
    t.wires[NEW].blind = ("us-a1",)
    t.watched(20, two.seconds(30))
    assert t.wires[OLD].listed
    t.wires[NEW].blind = ()
    t.watched(20, two.seconds(30))
    assert t.wires[OLD].listed is None


def test_an_old_wiring_that_fails_before_the_new_one_is_proven_sends_everybody_on_at_once(two):
    """There is nothing to wait for where nothing answers."""
    t = two()
    t.change(NEW)
    while not t.behind(NEW):
        t.step(two.seconds(10))
        t.one_pass()
    assert t.told[-1][1] is OLD
    t.wires[OLD].sick = True
    t.one_pass()
    assert t.told[-1][1] is NEW


def test_a_pass_that_cannot_look_forgets_no_move(two):
    """What is not seen is not over: the new address stays the service's."""
    t = two()
    t.moved()
    unseen = replace(t.observe(), ingress=Unknown(UnknownReason.UNREACHABLE, t.now))
    assert t.memory.rewired is not None
    assert decide(t.spec, unseen, t.memory, t.now).memory.rewired == t.memory.rewired


def test_a_pass_that_may_not_remove_adds_to_the_new_wiring_all_the_same(two):
    """After a lost memory, what is missing in the list is written without what would leave it."""
    t = two()
    t.change(NEW)
    t.watched(3, two.seconds(20), least=2)
    here = set(t.wires[NEW].listed)
    one, elsewhere = min(here), "us-c1/gpu-1"
    assert elsewhere not in here
    t.wires[NEW].listed, t.memory = (one, elsewhere), Memory()
    (action,) = (a for a in t.one_pass().plan if isinstance(a, WireIngress))
    assert (action.kind, set(action.clusters), action.removes) == (NEW, here | {elsewhere}, ())


def test_a_wiring_that_is_half_gone_is_taken_down_and_not_made_again(two):
    """A run that died while it took the old one down left some of its objects; the rest goes, nothing comes back."""
    t = two(NEW)
    t.wires[OLD].remains = True
    seen = []
    for _ in range(20):
        t.step(two.seconds(30))
        seen += wirings(t.one_pass())
    assert seen == [("UnwireIngress", OLD)]


@pytest.mark.parametrize("passes", range(1, 16), ids=str)
def test_whoever_changes_their_mind_half_way_meets_no_gap(two, passes):
    """Back to the old kind at any point of the move: what is told answers, and the other wiring goes in the end."""
    t = two()
    t.change(NEW)
    t.watched(passes, two.seconds(20), least=2)
    t.change(OLD)
    t.watched(30, two.seconds(30), least=2)
    assert t.wires[NEW].listed is None
    assert t.wires[OLD].listed is not None
    assert t.told[-1][1] is OLD


@pytest.mark.parametrize("passes", range(1, 16, 2), ids=str)
def test_a_memory_that_is_lost_half_way_costs_time_and_nothing_else(two, passes):
    """What is observed of both wirings is enough to go on."""
    t = two()
    t.change(NEW)
    t.watched(passes, two.seconds(20), least=2)
    t.memory = Memory()
    t.watched(60, two.seconds(30), least=1)
    assert t.wires[OLD].listed is None
    assert t.told[-1][1] is NEW


def test_both_wirings_follow_where_the_replicas_go(two):
    """A region that is lost in the middle of a move leaves both lists, and its replacement enters them."""
    t = two()
    t.change(NEW)
    t.watched(3, two.seconds(20), least=2)
    t.set_stock(0, region="us-a1")
    t.preempt("us-a1")
    t.watched(60, two.seconds(30), least=1)
    assert t.wires[NEW].listed == ("us-b1/gpu-1", "us-c1/gpu-1")
    assert all(links for _, links in t.wires[NEW].history)
    assert t.wires[OLD].listed is None


def test_the_wiring_that_is_left_gets_its_list_and_nothing_else(two):
    """Settings that change together with the kind are not written onto the old wiring, so its address stays."""
    t = two()
    t.respec(ingress=replace(t.spec.ingress, kind=NEW, timeout_seconds=900))
    decision = t.one_pass()
    assert wirings(decision) == [("WireIngress", NEW)]
    t.set_stock(0, region="us-a1")
    t.preempt("us-a1")
    written = []
    for _ in range(30):
        t.step(two.seconds(30))
        written += [a for a in t.one_pass().plan if isinstance(a, WireIngress) and a.kind is OLD]
    assert written
    assert all(action.list_only for action in written)


def test_foreign_objects_of_the_new_kind_are_left_alone(two):
    """The old wiring serves on, and the condition says why nothing moves (S7)."""
    t = two()
    t.wires[NEW] = Wire(("us-a1/gpu-1",), [(t.now, ("us-a1/gpu-1",))], foreign=True)
    t.change(NEW)
    t.watched(20, two.seconds(30), least=2)
    condition = t.condition("AddressReady")
    assert (condition.status, condition.reason) == ("True", "ForeignObject")
    assert t.wires[NEW].foreign
    assert t.told[-1][1] is OLD


def test_a_deleted_service_takes_both_wirings_down(two):
    """In the middle of a move, both go, before any Deployment."""
    t = two()
    t.change(NEW)
    t.watched(2, two.seconds(20))
    t.respec(deleting=True)
    decision = t.one_pass()
    assert sorted(wirings(decision)) == [("UnwireIngress", NEW), ("UnwireIngress", OLD)]
    assert len(decision.plan) == 2


def test_requests_that_the_old_wiring_still_sends_keep_a_draining_placement(two):
    """While either wiring leads to a cluster, nothing that drains there is deleted."""
    t = two()
    t.change(NEW)
    t.watched(17, two.seconds(10), least=2)
    assert t.wires[OLD].listed
    assert t.told[-1][1] is NEW
    t.respec(regions=replace(t.spec.regions, denied=("us-a1",)))
    for _ in range(60):
        before = {kind: set(wire.listed or ()) for kind, wire in t.wires.items()}
        decision = t.one_pass()
        gone = {a.offering.cluster.link for a in decision.plan if type(a).__name__ == "DeletePlacement"}
        assert not gone & (before[OLD] | before[NEW])
        t.step(two.seconds(10))
    assert not any(d.offering.region == "us-a1" for d in t.deployments.values())


def test_the_default_kind_alone_is_decided_as_before(two):
    """Without a second wiring, the decision has no trace of moves."""
    t = two()
    decision = decide(t.spec, t.observe(), t.memory, t.now)
    assert (decision.wired_by, decision.wirings, decision.memory.rewired) == (OLD, (OLD,), None)
