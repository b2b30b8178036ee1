"""Clusters on demand, decision by decision: where one is made and why not, and what comes next for each."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.decide.growth import decide_growth
from controlplane.decide.growth.case import COOLING, CREATION_PATIENCE, SETTLING
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.fleet import FleetSpec, OnDemand
from controlplane.model.growth import (
    LABEL,
    ON_DEMAND,
    ClusterSeen,
    EndpointGroup,
    Grown,
    GrowthMemory,
    GrowthSeen,
    MembershipSeen,
    Need,
    OperationSeen,
    Progress,
    RegionPast,
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
from controlplane.model.observation import Advice, Quota, RegionSignals
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering
from controlplane.model.reasons import Reason
from controlplane.model.service import Regions

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
L4, SPOT, STANDARD = Accelerator("nvidia-l4"), Capacity.SPOT, Capacity.ON_DEMAND
EAST, WEST = "us-east4", "us-west1"
MEMBER = ClusterRef("us-central1", "gpu-us-central1")
FLEET = FleetSpec(
    "p",
    ClusterRef("us-west2", "config"),
    labels={"team": "art"},
    on_demand=OnDemand((EAST, WEST), 2, timedelta(hours=2)),
)
THERE = FLEET.cluster(EAST)
NEED = Need("default/web", 1, ((L4, SPOT),), Regions(), NOW - timedelta(minutes=10))
DARK = Unknown(UnknownReason.UNREACHABLE, NOW)
ROOM = RegionSignals(
    Known(frozenset({"nvidia-l4"}), NOW),
    Known({"NVIDIA_L4_GPUS": Quota(4, 0), "PREEMPTIBLE_NVIDIA_L4_GPUS": Quota(4, 0)}, NOW),
)
NOBODY = Use(Known((), NOW), Known((), NOW))
OURS = ClusterSeen(THERE, "u1", "RUNNING", {LABEL: ON_DEMAND, "team": "art"}, membership=f"{EAST}/{THERE.name}")
CREATE = CreateCluster(THERE, {"team": "art", LABEL: ON_DEMAND}, "")


def seen(*clusters, **changes):
    """Give what a pass saw: these clusters and the member, all else known and nothing in the way."""
    listed = {cluster.ref: cluster for cluster in (ClusterSeen(MEMBER, "m", "RUNNING"), *clusters)}
    registered = tuple(MembershipSeen(f"m/{ref.name}", ref) for ref, c in listed.items() if c.membership)
    base = GrowthSeen(
        NOW,
        clusters=Known(listed, NOW),
        memberships=Known(registered, NOW),
        groups=Known((), NOW),
        project_gpu_quota=Known(Quota(16, 0), NOW),
        signals={EAST: ROOM, WEST: ROOM},
        members=frozenset({MEMBER, *(ref for ref, c in listed.items() if c.membership)}),
        uses={ref.link: NOBODY for ref, c in listed.items() if c.membership},
    )
    return replace(base, **changes)


def grown(stage, minutes=0, **changes):
    """Give a memory of the cluster THERE at a stage since so many minutes."""
    made = Grown(stage, NOW - timedelta(minutes=minutes), uid="u1", kube_uid="k1", prepared=True)
    return GrowthMemory(clusters={THERE.link: replace(made, **changes)})


def decided(look, needs=(), memory=None, fleet=FLEET):
    return decide_growth(fleet, look, needs, memory or GrowthMemory(), NOW)


def verdict(decision, region):
    (found,) = [v for v in decision.verdicts if v.region == region]
    return found


def stage(decision, ref=THERE):
    found = decision.memory.clusters.get(ref.link)
    return found.stage if found else None


def kinds(decision):
    return [type(action) for action in decision.actions]


# --- where one is made


def test_a_service_that_is_short_everywhere_gets_a_cluster():
    """The first region that very likely gives GPUs gets one, with our labels, and it is remembered."""
    decision = decided(seen(), [NEED])
    (action,) = decision.actions
    assert (action.ref, action.labels) == (THERE, CREATE.labels)
    assert stage(decision) is Stage.CREATING
    assert verdict(decision, EAST).reason == Reason.CLUSTER_ASKED_FOR.value
    assert "default/web" in verdict(decision, EAST).message
    assert verdict(decision, WEST).reason == Reason.LOWER_SCORE.value


def test_without_a_need_none_is_made():
    """Nobody short: nothing, and every region says so."""
    decision = decided(seen())
    assert decision.actions == ()
    assert {v.reason for v in decision.verdicts} == {Reason.NO_SERVICE_SHORT.value}


def test_a_fleet_without_the_option_never_grows():
    """Clusters on demand are opt-in."""
    decision = decided(seen(), [NEED], fleet=replace(FLEET, on_demand=None))
    assert (decision.actions, decision.verdicts) == ((), ())


QUOTALESS = replace(ROOM, quotas=Known({"NVIDIA_L4_GPUS": Quota(0, 0), "PREEMPTIBLE_NVIDIA_L4_GPUS": Quota(0, 0)}, NOW))
OFFER = Offering(THERE, L4, SPOT)


@pytest.mark.parametrize(
    ("look", "need", "reason"),
    [
        pytest.param({"clusters": DARK}, {}, Reason.FLEET_UNKNOWN, id="clusters-unknown"),
        pytest.param({"unlisted": ("asia-east1",)}, {}, Reason.FLEET_UNKNOWN, id="listing-in-part"),
        pytest.param({"doubt": "most regions are silent"}, {}, Reason.FLEET_UNKNOWN, id="too-little-seen"),
        pytest.param({}, {"regions": Regions(denied=frozenset({EAST}))}, Reason.REGION_DENIED, id="denied"),
        pytest.param({}, {"regions": Regions(allowed=frozenset({WEST}))}, Reason.REGION_NOT_ALLOWED, id="not-allowed"),
        pytest.param({"signals": {}}, {}, Reason.SIGNALS_UNKNOWN, id="no-signals"),
        pytest.param({"signals": {EAST: replace(ROOM, accelerators=DARK)}}, {}, Reason.SIGNALS_UNKNOWN, id="catalogue"),
        pytest.param(
            {"signals": {EAST: replace(ROOM, accelerators=Known(frozenset({"nvidia-b200"}), NOW))}},
            {},
            Reason.NOT_OFFERED_IN_REGION,
            id="not-offered",
        ),
        pytest.param({"signals": {EAST: replace(ROOM, quotas=DARK)}}, {}, Reason.QUOTA_UNKNOWN, id="quotas-unknown"),
        pytest.param(
            {"signals": {EAST: replace(ROOM, quotas=Known({}, NOW))}}, {}, Reason.QUOTA_UNKNOWN, id="no-metric"
        ),
        pytest.param({"signals": {EAST: QUOTALESS}}, {}, Reason.QUOTA_EXHAUSTED, id="no-quota"),
        pytest.param({"project_gpu_quota": DARK}, {}, Reason.QUOTA_UNKNOWN, id="project-quota-unknown"),
        pytest.param({"project_gpu_quota": Known(Quota(1, 1), NOW)}, {}, Reason.PROJECT_QUOTA_EXHAUSTED, id="project"),
        pytest.param({"advice": {OFFER: Known(Advice(0.1), NOW)}}, {}, Reason.CAPACITY_UNLIKELY, id="advice-bad"),
        pytest.param({}, {"budget": 1.0}, Reason.PRICE_UNKNOWN, id="capped-and-no-price"),
        pytest.param(
            {"prices": {("nvidia-l4", EAST, SPOT): 0.3}}, {"budget": 0.2}, Reason.OVER_COST_CAP, id="over-the-cap"
        ),
        pytest.param(
            {"members": frozenset({MEMBER, ClusterRef(EAST, "old")})}, {}, Reason.REGION_HAS_CLUSTER, id="member-there"
        ),
    ],
)
def test_where_anything_speaks_against_it_none_is_made(look, need, reason):
    """What is not allowed, not known or not likely is a reason not to, and is told."""
    narrow = replace(FLEET, on_demand=replace(FLEET.on_demand, regions=(EAST,)))
    decision = decided(seen(**look), [replace(NEED, **need)], fleet=narrow)
    assert decision.actions == ()
    assert verdict(decision, EAST).reason == reason.value


@pytest.mark.parametrize(
    ("advice", "chosen"),
    [
        pytest.param({}, EAST, id="none-known-the-first-named"),
        pytest.param({WEST: 0.9}, WEST, id="better-advice-wins"),
        pytest.param({EAST: 0.1}, WEST, id="bad-advice-loses"),
        pytest.param({EAST: 0.8, WEST: 0.8}, EAST, id="equal-the-first-named"),
    ],
)
def test_the_likelier_region_is_chosen(advice, chosen):
    """Advice orders regions; without it the user's order does."""
    told = {Offering(FLEET.cluster(r), L4, SPOT): Known(Advice(v), NOW) for r, v in advice.items()}
    assert [a.ref.region for a in decided(seen(advice=told), [NEED]).actions] == [chosen]


def test_the_cheaper_of_equals_is_chosen():
    """Price decides where the chance is the same."""
    prices = {("nvidia-l4", EAST, SPOT): 0.3, ("nvidia-l4", WEST, SPOT): 0.2}
    assert [a.ref.region for a in decided(seen(prices=prices), [NEED]).actions] == [WEST]


def test_a_second_kind_is_enough():
    """A region that lacks quota for the first kind and has it for the second will do."""
    spot_only = Known({"NVIDIA_L4_GPUS": Quota(0, 0), "PREEMPTIBLE_NVIDIA_L4_GPUS": Quota(1, 0)}, NOW)
    look = seen(signals={EAST: replace(ROOM, quotas=spot_only)})
    assert kinds(decided(look, [replace(NEED, kinds=((L4, STANDARD), (L4, SPOT)))])) == [CreateCluster]


def test_one_at_a_time_for_a_need():
    """While one is on its way that could serve it, no second is made; one elsewhere where that could not is."""
    coming = replace(OURS, status="PROVISIONING", membership="")
    memory = grown(Stage.CREATING)
    decision = decided(seen(coming), [NEED], memory)
    assert decision.actions == ()
    assert verdict(decision, WEST).reason == Reason.CLUSTER_ARRIVING.value
    elsewhere = replace(NEED, regions=Regions(allowed=frozenset({WEST})))
    assert [a.ref.region for a in decided(seen(coming), [elsewhere], memory).actions] == [WEST]


def test_two_services_that_one_region_could_serve_get_one_cluster():
    """What is made for the first is on its way for the second."""
    assert len(decided(seen(), [NEED, replace(NEED, service="default/other")]).actions) == 1


def test_never_more_than_allowed():
    """Those that stand, those remembered and those made in this pass count together."""
    narrow = replace(FLEET, on_demand=replace(FLEET.on_demand, max_clusters=1))
    there = seen(OURS, uses={THERE.link: replace(NOBODY, placements=Known(("default/x",), NOW))})
    decision = decided(there, [NEED], grown(Stage.READY), fleet=narrow)
    assert decision.actions == ()
    assert verdict(decision, WEST).reason == Reason.AS_MANY_AS_ALLOWED.value


def test_an_unknown_cluster_with_our_label_counts():
    """A memory that was lost does not make room for more."""
    narrow = replace(FLEET, on_demand=replace(FLEET.on_demand, max_clusters=1))
    decision = decided(seen(OURS), [NEED], fleet=narrow)
    assert CreateCluster not in kinds(decision)


def test_a_region_that_failed_rests():
    """It is not tried before its time, and the next one is."""
    past = RegionPast(1, NOW + timedelta(minutes=5), Reason.CLUSTER_FAILED.value, "no room")
    decision = decided(seen(), [NEED], GrowthMemory(regions={EAST: past}))
    assert [a.ref.region for a in decision.actions] == [WEST]
    assert (verdict(decision, EAST).reason, verdict(decision, EAST).next_try) == ("ClusterFailed", past.not_before)


# --- what comes next for one that is there


def test_it_joins_the_fleet_gets_its_rights_and_is_ready():
    """From running to ready, step by step."""
    alone = replace(OURS, membership="")
    bare = grown(Stage.CREATING, uid="", kube_uid="", prepared=False)
    joins = decided(seen(alone), memory=bare)
    assert (kinds(joins), stage(joins)) == ([RegisterCluster], Stage.REGISTERING)
    rights = decided(seen(OURS), memory=joins.memory)
    assert (kinds(rights), stage(rights)) == ([PrepareCluster], Stage.PREPARING)
    ready = decided(seen(OURS), memory=grown(Stage.PREPARING))
    assert (kinds(ready), stage(ready)) == ([], Stage.READY)


@pytest.mark.parametrize(
    ("use", "then"),
    [
        pytest.param({}, Stage.IDLE, id="nothing-there"),
        pytest.param({"placements": Known(("default/web",), NOW)}, Stage.READY, id="used"),
        pytest.param({"placements": DARK}, Stage.READY, id="cannot-be-seen"),
        pytest.param({"wired": DARK}, Stage.READY, id="wiring-cannot-be-seen"),
        pytest.param({"only": ("default/web",)}, Stage.READY, id="last-of-an-address"),
    ],
)
@pytest.mark.parametrize("now", [Stage.READY, Stage.IDLE])
def test_idle_is_what_is_known_to_be_empty(now, use, then):
    """Doubt is use: the time of being idle begins anew."""
    look = seen(OURS, uses={THERE.link: replace(NOBODY, **use)})
    assert stage(decided(look, memory=grown(now, minutes=60))) is then


def test_it_is_drained_after_its_time_and_not_before():
    """IdleAfter counts without a break."""
    assert stage(decided(seen(OURS), memory=grown(Stage.IDLE, minutes=119))) is Stage.IDLE
    assert stage(decided(seen(OURS), memory=grown(Stage.IDLE, minutes=120))) is Stage.DRAINING


def test_the_whole_way_out_in_order():
    """No placement, no address, no endpoint group, our objects, the membership, the cluster: one step a pass."""
    clean = {"clean_since": NOW - SETTLING}
    drained = decided(seen(OURS), memory=grown(Stage.DRAINING, minutes=1))
    assert (kinds(drained), stage(drained)) == ([], Stage.UNWIRING)
    settles = decided(seen(OURS), memory=drained.memory)
    assert (kinds(settles), stage(settles)) == ([], Stage.UNWIRING)
    cleared = decided(seen(OURS), memory=grown(Stage.UNWIRING, **clean))
    assert (kinds(cleared), stage(cleared)) == ([ClearCluster], Stage.UNWIRING)
    out = decided(seen(OURS), memory=grown(Stage.UNWIRING, cleared=True, **clean))
    assert (kinds(out), stage(out)) == ([], Stage.UNREGISTERING)
    leaves = decided(seen(OURS), memory=out.memory)
    assert (kinds(leaves), stage(leaves)) == ([UnregisterCluster], Stage.UNREGISTERING)
    gone = decided(seen(replace(OURS, membership="")), memory=leaves.memory)
    assert (kinds(gone), stage(gone)) == ([DeleteCluster], Stage.DELETING)
    assert gone.actions[0].uid == "u1"
    assert stage(decided(seen(), memory=gone.memory)) is None


@pytest.mark.parametrize("at", [Stage.DRAINING, Stage.UNWIRING, Stage.UNREGISTERING])
def test_what_is_used_again_comes_back(at):
    """A placement found on the way out brings the cluster back into service, not cleared any more."""
    look = seen(OURS, uses={THERE.link: replace(NOBODY, placements=Known(("default/web",), NOW))})
    decision = decided(look, memory=grown(at, minutes=1, cleared=True))
    assert (kinds(decision), stage(decision)) == ([], Stage.READY)
    assert decision.memory.clusters[THERE.link].cleared is False


@pytest.mark.parametrize("at", [Stage.DRAINING, Stage.UNWIRING])
def test_a_need_takes_one_back_rather_than_making_another(at):
    """What drains is quicker to have than what is made."""
    decision = decided(seen(OURS), [NEED], grown(at, minutes=1))
    assert (kinds(decision), stage(decision)) == ([], Stage.READY)


HELD = EndpointGroup("k8s1-a", f"{EAST}-a", "k1")


@pytest.mark.parametrize(
    ("at", "look"),
    [
        pytest.param(Stage.UNWIRING, {"groups": DARK}, id="groups-unknown"),
        pytest.param(Stage.UNWIRING, {"groups": Known((HELD,), NOW)}, id="group-held"),
        pytest.param(Stage.UNWIRING, {"doubt": "most regions are silent"}, id="too-little-seen"),
        pytest.param(
            Stage.UNWIRING, {"uses": {THERE.link: replace(NOBODY, wired=Known(("default/web",), NOW))}}, id="wired"
        ),
        pytest.param(Stage.UNWIRING, {"uses": {THERE.link: replace(NOBODY, placements=DARK)}}, id="workloads-unknown"),
        pytest.param(Stage.UNREGISTERING, {"memberships": DARK}, id="memberships-unknown"),
        pytest.param(Stage.UNREGISTERING, {"uses": {THERE.link: replace(NOBODY, placements=DARK)}}, id="member-silent"),
        pytest.param(Stage.UNREGISTERING, {"groups": Known((HELD,), NOW)}, id="group-held-after-all"),
        pytest.param(Stage.UNREGISTERING, {"clusters": DARK}, id="clusters-unknown"),
        pytest.param(Stage.DELETING, {"memberships": DARK}, id="is-it-out"),
        pytest.param(Stage.DELETING, {}, id="it-is-in-the-fleet-again"),
    ],
)
def test_nothing_is_taken_away_on_doubt(at, look):
    """Every step out rests on what this very pass knows."""
    memory = grown(at, minutes=60, clean_since=NOW - SETTLING, cleared=at is not Stage.UNWIRING)
    assert decided(seen(OURS, **look), memory=memory).actions == ()


def test_groups_of_other_clusters_hold_nothing():
    """A group says which cluster it stands for."""
    other = Known((replace(HELD, cluster_uid="another"),), NOW)
    memory = grown(Stage.UNWIRING, clean_since=NOW - SETTLING)
    assert kinds(decided(seen(OURS, groups=other), memory=memory)) == [ClearCluster]


def test_a_cluster_without_our_label_is_forgotten_and_never_touched():
    """Whoever takes the label off keeps the cluster."""
    for at in Stage:
        bare = replace(OURS, labels={"team": "art"})
        decision = decided(seen(bare), memory=grown(at, minutes=600, cleared=True))
        assert (decision.actions, stage(decision)) == ((), None)


def test_a_cluster_made_anew_under_the_name_begins_anew():
    """What was about to be deleted was another one."""
    other = replace(OURS, uid="u2", membership="")
    decision = decided(seen(other), memory=grown(Stage.DELETING))
    assert DeleteCluster not in kinds(decision)
    assert stage(decision) is Stage.REGISTERING


def test_the_config_cluster_is_never_one_of_these():
    """Whatever label it carries."""
    config = ClusterSeen(FLEET.config, "c", "RUNNING", {LABEL: ON_DEMAND}, membership="x")
    memory = GrowthMemory(clusters={FLEET.config.link: Grown(Stage.DELETING, NOW, uid="c")})
    for known in (GrowthMemory(), memory):
        decision = decided(seen(config), memory=known)
        assert (decision.actions, decision.memory.clusters) == ((), {})


def test_clusters_with_our_label_that_nobody_remembers_are_taken_up():
    """With all their idle time before them."""
    decision = decided(seen(OURS))
    assert (kinds(decision), stage(decision)) == ([PrepareCluster], Stage.PREPARING)


def test_one_thing_is_taken_away_in_a_pass():
    """Two that are due go one after the other."""
    two = replace(OURS, ref=FLEET.cluster(WEST), uid="u2")
    look = seen(OURS, two)
    first = grown(Stage.UNREGISTERING).clusters[THERE.link]
    memory = GrowthMemory(clusters={THERE.link: first, two.ref.link: replace(first, uid="u2")})
    assert kinds(decided(look, memory=memory)) == [UnregisterCluster]


@pytest.mark.parametrize("at", list(Stage))
def test_without_the_option_what_is_there_is_left_alone(at):
    """Nothing is deleted that nobody asked to have managed; what was on its way out serves again."""
    decision = decided(seen(OURS), memory=grown(at, minutes=600, cleared=True), fleet=replace(FLEET, on_demand=None))
    assert decision.actions == ()
    assert stage(decision) is (Stage.READY if at in (Stage.DRAINING, Stage.UNWIRING) else at)
    assert verdict(decision, EAST).reason == Reason.CLUSTER_LEFT_ALONE.value


# --- creations that do not come


def asked(minutes=0):
    return GrowthMemory(clusters={THERE.link: Grown(Stage.CREATING, NOW - timedelta(minutes=minutes), "web is short")})


@pytest.mark.parametrize(
    ("operation", "needs", "expected"),
    [
        pytest.param(None, [NEED], ([CreateCluster], Stage.CREATING), id="crashed-before-it-was-asked-for"),
        pytest.param(None, [], ([], None), id="crashed-and-not-needed-any-more"),
        pytest.param(OperationSeen(Progress.RUNNING), [NEED], ([], Stage.CREATING), id="running"),
        pytest.param(OperationSeen(Progress.DONE), [NEED], ([], Stage.CREATING), id="done-and-not-listed-yet"),
        pytest.param(OperationSeen(Progress.FAILED, "no room"), [], ([], None), id="failed"),
    ],
)
def test_a_cluster_that_nobody_has_seen_yet(operation, needs, expected):
    """It is asked for again only when nobody knows of it."""
    operations = {THERE.link: operation} if operation else {}
    decision = decided(seen(operations=operations), needs, asked())
    assert (kinds(decision), stage(decision)) == expected


def test_a_listing_in_part_forgets_nothing_and_repeats_nothing():
    """What is not listed may be in what was left out."""
    decision = decided(seen(unlisted=(EAST,)), [NEED], asked())
    assert (decision.actions, stage(decision)) == ((), Stage.CREATING)


def test_a_creation_that_fails_cools_its_region_longer_each_time():
    """Half an hour, an hour, and so on."""
    operations = {THERE.link: OperationSeen(Progress.FAILED, "no room")}
    decision = decided(seen(operations=operations), memory=asked())
    assert decision.memory.regions[EAST] == RegionPast(1, NOW + COOLING, "ClusterFailed", "no room")
    again = decided(seen(operations=operations), memory=replace(asked(), regions=decision.memory.regions))
    assert again.memory.regions[EAST].not_before == NOW + 2 * COOLING


def test_a_creation_that_never_comes_is_given_up():
    """And its region rests."""
    late = asked(minutes=int(CREATION_PATIENCE.total_seconds() / 60) + 1)
    decision = decided(seen(), [NEED], late)
    assert EAST in decision.memory.regions
    assert [a.ref.region for a in decision.actions] == [WEST]


def test_a_broken_cluster_is_taken_away_and_its_region_rests():
    """One that ended in ERROR was never open to services: out of the fleet, then deleted; the region cools once."""
    broken = replace(OURS, status="ERROR", message="Insufficient quota")
    first = decided(seen(broken), memory=grown(Stage.CREATING, prepared=False))
    assert kinds(first) == [UnregisterCluster]
    assert first.memory.regions[EAST].failures == 1
    second = decided(seen(replace(broken, membership="")), memory=first.memory)
    assert kinds(second) == [DeleteCluster]
    assert second.memory.regions[EAST].failures == 1


@pytest.mark.parametrize("at", [Stage.READY, Stage.IDLE, Stage.DRAINING, Stage.UNWIRING])
def test_a_cluster_that_breaks_in_service_is_left_alone(at):
    """Nobody knows what stands there; a person has to look."""
    decision = decided(seen(replace(OURS, status="ERROR")), memory=grown(at, minutes=600))
    assert (decision.actions, stage(decision)) == ((), at)


def test_a_name_that_another_has_cools_the_region():
    """No second try each pass."""
    other = replace(OURS, labels={}, membership="")
    decision = decided(seen(other), [NEED], asked())
    assert decision.memory.regions[EAST].reason == Reason.NAME_TAKEN.value
    assert [a.ref.region for a in decision.actions] == [WEST]


def test_a_cluster_that_is_refused_gpus_cools_its_region_and_one_that_gets_some_warms_it():
    """Stock-out there is learnt once; obtaining forgets it."""
    refused = seen(OURS, uses={THERE.link: replace(NOBODY, refused="CoolingAfterStockOut")})
    cold = decided(refused, memory=grown(Stage.READY))
    assert cold.memory.regions[EAST].reason == "CoolingAfterStockOut"
    assert decided(refused, memory=cold.memory).memory.regions == cold.memory.regions
    holds = seen(OURS, uses={THERE.link: replace(NOBODY, placements=Known(("default/web",), NOW), holds=True)})
    assert decided(holds, memory=cold.memory).memory.regions == {}


def test_a_cluster_that_somebody_deleted_leaves_the_fleet_too():
    """What is left of it is a membership without a cluster."""
    look = replace(seen(), memberships=Known((MembershipSeen("m/x", THERE, cluster_missing=True),), NOW))
    decision = decided(look, memory=grown(Stage.READY))
    assert kinds(decision) == [UnregisterCluster]
    assert stage(decided(seen(), memory=decision.memory)) is None
