"""Clusters on demand under any history: what must never happen, and what must come to pass once faults stop.

A small cloud that does what Google's does as far as it matters here, a memory that is written before anything is done,
and every way to be interrupted: killed before an action, after it and before its outcome was noted; parts that cannot
be seen; people who delete, relabel and reconfigure; services that come and go.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.decide.growth import decide_growth
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.fleet import FleetSpec, OnDemand
from controlplane.model.growth import (
    LABEL,
    LEAVING,
    ON_DEMAND,
    ClusterSeen,
    EndpointGroup,
    Grown,
    GrowthMemory,
    GrowthSeen,
    MembershipSeen,
    Need,
    Stage,
    Use,
)
from controlplane.model.growthplan import (
    ClearCluster,
    CreateCluster,
    DeleteCluster,
    PrepareCluster,
    RegisterCluster,
    UnregisterCluster,
)
from controlplane.model.observation import Quota, RegionSignals
from controlplane.model.offering import Accelerator, Capacity, ClusterRef
from controlplane.model.service import Regions

REGIONS = ("us-east4", "us-west1", "us-west4")
DENIED = "us-west4"
START = datetime(2026, 11, 1, tzinfo=UTC)
KIND = (Accelerator("nvidia-l4"), Capacity.SPOT)
ROOM = Known({"PREEMPTIBLE_NVIDIA_L4_GPUS": Quota(4, 0)}, START)
SEEN = ("clusters", "memberships", "groups", "workloads", "wiring", "signals", "whole")
IDLE = timedelta(minutes=30)


@dataclass
class Real:
    """A cluster as it really is. negs: until when the load balancer holds on; None while it does for good."""

    uid: str
    status: str = "PROVISIONING"
    ours: bool = True
    member: bool = True
    placed: bool = False
    wired: bool = False
    negs: datetime | None = START
    prepared: bool = False

    def held(self, now):
        return self.negs is None or now < self.negs


@dataclass
class Cloud:
    """All clusters by region, in which each has at most one, and what leaked."""

    now: datetime = START
    clusters: dict = field(default_factory=dict)
    stock: set = field(default_factory=lambda: set(REGIONS))
    born: int = 0
    leaked: list = field(default_factory=list)


class Growth:
    """One history."""

    def __init__(self):
        self.cloud, self.memory, self.short = Cloud(), GrowthMemory(), False
        self.blind, self.maximum, self.option = set(), 2, True
        self.did = set()

    # --- the world

    def time_passes(self, minutes):
        self.cloud.now += timedelta(minutes=minutes)
        for real in self.cloud.clusters.values():
            if real.status == "PROVISIONING":
                real.status = "RUNNING"

    def a_creation_goes_wrong(self, region):
        real = self.cloud.clusters.get(region)
        if real and real.status == "PROVISIONING":
            real.status = "ERROR"

    def demand_changes(self, short):
        self.short = short

    def a_service_moves_in(self, region):
        """Services place where they are told that they may: in a cluster that is ready."""
        real, grown = self.cloud.clusters.get(region), self.grown(region)
        open_to_all = grown is None or grown.stage in (Stage.READY, Stage.IDLE)
        if real and real.status == "RUNNING" and real.member and region != DENIED and open_to_all and real.prepared:
            real.placed, real.wired, real.negs = True, True, None

    def a_service_moves_out(self, region):
        if region in self.cloud.clusters:
            self.cloud.clusters[region].placed = False

    def the_address_leaves(self, region):
        """Write the list without it; the load balancer lets go minutes later."""
        real = self.cloud.clusters.get(region)
        if real and real.wired and not real.placed:
            real.wired, real.negs = False, self.cloud.now + timedelta(minutes=7)

    def sight_changes(self, part, dark):
        (self.blind.add if dark else self.blind.discard)(part)

    def a_person_relabels(self, region, ours):
        if region in self.cloud.clusters:
            self.cloud.clusters[region].ours = ours

    def a_person_deletes(self, region):
        """Delete it, and at times make another under its name before anybody looks."""
        if self.cloud.clusters.pop(region, None) and self.cloud.born % 2:
            self.cloud.clusters[region] = self.new("RUNNING", ours=self.cloud.born % 4 > 0)

    def a_person_makes_one(self, region):
        if region not in self.cloud.clusters:
            self.cloud.clusters[region] = self.new("RUNNING", ours=False)

    def a_person_reconfigures(self, maximum, option):
        self.maximum, self.option = maximum, option

    def the_memory_is_lost(self):
        self.memory = GrowthMemory()

    # --- passes

    def a_pass(self, killed, at):
        """Decide, remember, act, note; or be killed on the way."""
        seen, needs, fleet = self.look(), self.needs(), self.fleet()
        decision = decide_growth(fleet, seen, needs, self.memory, self.cloud.now)
        assert decision == decide_growth(fleet, seen, needs, self.memory, self.cloud.now)
        self.check(decision, seen, needs)
        self.memory = decision.memory
        for number, action in enumerate(decision.actions):
            if killed == "before" and number == at:
                return
            self.act(action)
            if killed == "after" and number == at:
                return
            self.note(action)

    def check(self, decision, seen, needs):
        """Check what may be decided on what was seen."""
        made = [a for a in decision.actions if isinstance(a, CreateCluster)]
        assert (
            len([a for a in decision.actions if isinstance(a, ClearCluster | UnregisterCluster | DeleteCluster)]) <= 1
        )
        if not self.option:
            assert decision.actions == ()
        if made:
            assert needs
            assert seen.whole
            assert isinstance(seen.clusters, Known)
        for action in made:
            assert action.ref.region != DENIED
            again = action.ref.link in self.memory.clusters
            assert again or isinstance(seen.signals[action.ref.region].accelerators, Known)
        fresh = [a for a in made if a.ref.link not in self.memory.clusters]
        assert not fresh or len(decision.memory.clusters) <= self.maximum
        assert not fresh or all(a.ref.region not in self.cloud.clusters for a in fresh)

    def act(self, action):
        """Do it in the world; assert that it harms nobody."""
        cloud, region = self.cloud, action.ref.region
        self.did.add(type(action))
        real = cloud.clusters.get(region)
        if isinstance(action, CreateCluster):
            if real is None:
                cloud.clusters[region] = self.new("PROVISIONING")
            return
        if real is None:
            return  # what is gone is as good
        if isinstance(action, RegisterCluster):
            real.member = True
        elif isinstance(action, PrepareCluster):
            real.prepared = True
        elif isinstance(action, ClearCluster | UnregisterCluster | DeleteCluster):
            assert real.ours, "only our own"
            assert not real.placed, "what serves stays"
            assert not real.wired, "no address leads there"
            assert not real.held(cloud.now), "no endpoint group leaks"
        if isinstance(action, UnregisterCluster):
            real.member = False
        elif isinstance(action, DeleteCluster):
            assert action.uid == real.uid
            assert not real.member, "out of the fleet first"
            del cloud.clusters[region]

    def note(self, action):
        """Remember what an action brought, as the engine does."""
        link = action.ref.link
        known = self.memory.clusters.get(link)
        if known is None:
            return
        if isinstance(action, PrepareCluster) and action.ref.region in self.cloud.clusters:
            known = replace(known, prepared=True, kube_uid=f"kube-{self.cloud.clusters[action.ref.region].uid}")
        if isinstance(action, ClearCluster):
            known = replace(known, cleared=True)
        self.memory = replace(self.memory, clusters={**self.memory.clusters, link: known})

    # --- what is seen

    def new(self, status, *, ours=True):
        self.cloud.born += 1
        return Real(f"u{self.cloud.born}", status, ours=ours, member=self.cloud.born % 3 > 0, prepared=not ours)

    def fleet(self):
        option = OnDemand(REGIONS, self.maximum, IDLE) if self.option else None
        return FleetSpec("p", ClusterRef("us-west2", "config"), on_demand=option)

    def grown(self, region) -> Grown | None:
        return self.memory.clusters.get(self.fleet().cluster(region).link)

    def needs(self):
        if not self.short:
            return []
        return [Need("default/web", 1, (KIND,), Regions(denied=frozenset({DENIED})), START)]

    def look(self):
        cloud, now, fleet = self.cloud, self.cloud.now, self.fleet()
        dark = Unknown(UnknownReason.UNREACHABLE, now)
        refs = {fleet.cluster(region): real for region, real in cloud.clusters.items()}
        whole = "whole" not in self.blind
        listed = {
            ref: ClusterSeen(ref, c.uid, c.status, {LABEL: ON_DEMAND} if c.ours else {}, membership="m" * c.member)
            for ref, c in refs.items()
            if whole or ref.region != REGIONS[0]
        }

        def fact(part, value):
            return dark if part in self.blind else Known(value, now)

        signals = RegionSignals(fact("signals", frozenset({"nvidia-l4"})), ROOM)
        return GrowthSeen(
            now,
            clusters=fact("clusters", listed),
            memberships=fact(
                "memberships", tuple(MembershipSeen(ref.name, ref) for ref, c in refs.items() if c.member)
            ),
            groups=fact(
                "groups",
                tuple(EndpointGroup("k", f"{r.region}-a", f"kube-{c.uid}") for r, c in refs.items() if c.held(now)),
            ),
            project_gpu_quota=Known(Quota(16, 0), now),
            signals=dict.fromkeys(REGIONS, signals),
            members=frozenset(ref for ref, c in refs.items() if c.member and ref in listed),
            uses={
                ref.link: Use(
                    fact("workloads", ("default/web",) if c.placed else ()),
                    fact("wiring", ("default/web",) if c.wired else ()),
                    holds=c.placed,
                )
                for ref, c in refs.items()
                if c.member and ref in listed
            },
            unlisted=() if whole else (REGIONS[0],),
        )

    # --- what comes to pass

    def comes_to_rest(self):
        """Once faults and demand stop, all of ours goes, and nothing leaks or is left behind."""
        self.blind, self.short, self.option = set(), False, True
        for real in self.cloud.clusters.values():
            real.placed = False
            if real.wired:
                real.wired, real.negs = False, self.cloud.now + timedelta(minutes=7)
            if real.status == "ERROR" and (grown := self.grown_of(real)) and grown.stage not in LEAVING:
                real.status = "RUNNING"  # one that breaks in service is a person's to mend
        for _ in range(60):
            self.time_passes(5)
            self.a_pass("never", 0)
        assert [region for region, real in self.cloud.clusters.items() if real.ours] == []
        assert self.memory.clusters == {}

    def grown_of(self, real):
        return next((self.grown(region) for region, each in self.cloud.clusters.items() if each is real), None)


def one_thing(growth, dice):
    """Let one thing happen: mostly time and passes, now and then a fault, seldom a person."""
    region = dice.choice(REGIONS)
    happens = dice.random()
    if happens < 0.45:
        growth.a_pass(dice.choice(["never"] * 5 + ["before", "after"]), dice.randrange(2))
    elif happens < 0.72:
        growth.time_passes(dice.choice([1, 5, 20, 45]))
    elif happens < 0.78:
        growth.demand_changes(dice.random() < 0.4)
    elif happens < 0.86:
        dice.choice([growth.a_service_moves_in, growth.a_service_moves_out])(region)
    elif happens < 0.88:
        growth.the_address_leaves(region)
    elif happens < 0.97:
        growth.sight_changes(dice.choice(SEEN), dice.random() < 0.1)
    elif happens < 0.975:
        growth.a_creation_goes_wrong(region)
    elif happens < 0.985:
        growth.a_person_relabels(region, dice.random() < 0.6)
    elif happens < 0.99:
        dice.choice([growth.a_person_deletes, growth.a_person_makes_one])(region)
    elif happens < 0.995:
        growth.a_person_reconfigures(dice.randrange(1, 4), dice.random() < 0.9)
    else:
        growth.the_memory_is_lost()


@pytest.mark.parametrize("seed", range(10))
def test_nothing_of_it_does_harm_and_in_the_end_all_of_ours_is_gone(seed):
    """Whatever happens, in whatever order: only our own idle clusters go, in the order that leaks nothing."""
    growth, dice = Growth(), random.Random(seed)
    for _ in range(2000):
        one_thing(growth, dice)
    growth.comes_to_rest()
    assert growth.did >= {CreateCluster, PrepareCluster, ClearCluster, UnregisterCluster, DeleteCluster}
