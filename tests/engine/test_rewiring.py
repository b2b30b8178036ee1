"""A service moves from one kind of ingress to the other; a run may die or lose an answer at any write of it."""

from types import SimpleNamespace

import pytest

from controlplane.api import parse_service
from controlplane.engine import ExitCode
from controlplane.engine.rewire import Rewiring
from controlplane.engine.wirings import WiringView, ingress_fact, kinds_in_use
from controlplane.gateways import errors
from controlplane.model.decision import WireIngress
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.service import IngressKind
from ingress import WIRINGS

GATEWAY, INGRESS = "MultiClusterGateway", "MultiClusterIngress"
OBJECTS = {
    GATEWAY: {"Gateway", "HTTPRoute", "GCPBackendPolicy", "HealthCheckPolicy"},
    INGRESS: {"MultiClusterIngress", "MultiClusterService", "BackendConfig"},
}
HOOKS = ("crash-before", "crash-after", "lost-before", "lost-after")
FENCE = SimpleNamespace(number=9, left=30.0, check=lambda **_: None)
SETTINGS = {"draining": "20s", "checkInterval": "10s"}
PASSES = 9


THREE = ("us-central1", "europe-west4", "us-east4")


def serving_by(make_world, kind, *regions):
    """Give a world whose two replicas serve in two regions, the only ones where none are given."""
    world = make_world(*regions)
    world.config.add(replicas=2, spread={"maxReplicasPerRegion": 1}, ingress={**SETTINGS, "kind": kind})
    world.run(5)
    assert set(world.config.objects) == OBJECTS[kind]
    assert world.config.stored["web"]["status"]["ready"] == "2/2"
    return world


def ask_for(world, kind):
    service = world.config.stored["web"]
    service["spec"]["ingress"]["kind"] = kind
    service["metadata"]["generation"] += 1
    world.config._stamp(service)


def exporting(world):
    return {ref.link for ref, member in world.members.items() if "ServiceExport/web" in member.objects}


def behind(world):
    """Give what answers at the address that the status tells."""
    address = world.config.stored["web"]["status"]["address"]
    return {"203.0.113.7": world.balanced, "203.0.113.8": world.exported}[address]


def carried_through(world, kind, crash=()):
    """Make passes, each by a new process; the address that is told must be answered after each."""
    for _ in range(PASSES):
        try:
            world.run(1)
        except crash:
            world.crashed = False
            world.settle()
            world.clock.advance(61)
        assert sum(behind(world).values()) == 2, "a client of the address was not answered"
    return set(world.config.objects) == OBJECTS[kind]


@pytest.mark.parametrize(("old", "new"), [(INGRESS, GATEWAY), (GATEWAY, INGRESS)], ids=["to-gateway", "back"])
def test_the_new_wiring_serves_before_the_old_one_goes(make_world, old, new):
    """The new objects are all there before the first of the old ones goes, and the address changes in between."""
    world = serving_by(make_world, old)
    before, begun = world.config.stored["web"]["status"]["address"], len(world.journal)
    ask_for(world, new)
    assert carried_through(world, new)
    assert world.config.stored["web"]["status"]["address"] != before
    writes = [line for line in world.journal[begun:] if not line.startswith("config event")]
    made = [i for i, line in enumerate(writes) if line.startswith("config apply") and line.split()[-1] in OBJECTS[new]]
    gone = [i for i, line in enumerate(writes) if line.startswith("config delete")]
    assert max(made) < min(gone)
    assert exporting(world) == ({ref.link for ref in world.refs} if new == GATEWAY else set())
    written = len(world.journal)
    assert world.run(3).exit_code is ExitCode.OK
    assert world.journal[written:] == []


@pytest.mark.parametrize(("old", "new"), [(INGRESS, GATEWAY), (GATEWAY, INGRESS)], ids=["to-gateway", "back"])
def test_every_write_of_a_move_can_be_hit(make_world, crash, old, new):
    """Whatever write a run dies at or gets no answer to, the next ones bring the move to its end, without a gap."""
    whole = serving_by(make_world, old)
    begun = len(whole.journal)
    ask_for(whole, new)
    assert carried_through(whole, new)
    cases = [(hook, i) for i in range(begun, len(whole.journal)) for hook in HOOKS]
    for hook, index in cases:
        world = serving_by(make_world, old)
        ask_for(world, new)
        world.hooks[index] = hook
        where = f"{hook} at write {index} ({whole.journal[index]})"
        assert carried_through(world, new, crash) or carried_through(world, new), where
        assert exporting(world) == exporting(whole), where
    assert len(cases) > 40


def test_a_region_that_is_dark_does_not_keep_the_others_from_the_gateway(make_world):
    """The list that is written names it all the same; it gets its ServiceExport when it answers again."""
    world = serving_by(make_world, INGRESS)
    dark = world.members[world.refs[0]]
    dark.error = errors.Unreachable("down")
    ask_for(world, GATEWAY)
    world.run(1)
    assert exporting(world) == {world.refs[1].link}
    assert record_of(world) == {ref.link for ref in world.refs}
    dark.error = None
    world.run(PASSES)
    assert exporting(world) == {ref.link for ref in world.refs}
    assert set(world.config.objects) == OBJECTS[GATEWAY]


def test_a_member_that_fails_while_it_is_wired_is_left_out_and_told(make_world):
    """The others are wired, the record leaves it out, the action is told as failed, and the next pass mends it."""
    world = serving_by(make_world, INGRESS)
    bad = world.members[world.refs[0]]
    apply, bad.apply = bad.apply, _refuse(errors.ServerFault("oops"))
    ask_for(world, GATEWAY)
    (service,) = world.run(1).services
    (result,) = service.results
    assert result.error == "MemberFailed"
    assert world.refs[0].link in result.message
    assert record_of(world) == {world.refs[1].link}
    bad.apply = apply
    world.run(PASSES)
    assert exporting(world) == {ref.link for ref in world.refs}


def record_of(world):
    return set(world.config.objects["HTTPRoute"]["metadata"]["annotations"]["gpuhunter.dev/clusters"].split(","))


def test_what_one_cluster_was_to_leave_for_it_keeps_when_the_other_cannot_be_entered(make_world):
    """A removal waits for what adds: the cluster stays exported, and the record says so."""
    world = serving_by(make_world, GATEWAY, *THREE)
    stays, leaves = sorted(exporting(world))
    (enters,) = {ref.link for ref in world.refs} - {stays, leaves}
    by_link = {ref.link: member for ref, member in world.members.items()}
    by_link[enters].apply = _refuse(errors.ServerFault("oops"))
    kind = IngressKind.MULTI_CLUSTER_GATEWAY
    rewiring = Rewiring(world.config, WIRINGS[kind], FENCE, world.clock, by_link)
    action = WireIngress(tuple(sorted((stays, enters))), (enters,), (leaves,), "", kind=kind)
    version = world.config.objects["HTTPRoute"]["metadata"]["resourceVersion"]
    with pytest.raises(errors.MemberFailed):
        rewiring.wire(parse_service(world.config.stored["web"]), action, version)
    assert record_of(world) == exporting(world) == {stays, leaves}


def test_the_wiring_that_is_left_gets_its_list_alone(make_world):
    """Its other objects keep the settings that they have: the address that is still told depends on them."""
    world = serving_by(make_world, INGRESS)
    stays, leaves = sorted(ref.link for ref in world.refs)
    kind, begun = IngressKind.MULTI_CLUSTER_INGRESS, len(world.journal)
    version = world.config.objects["MultiClusterService"]["metadata"]["resourceVersion"]
    action = WireIngress((stays,), (), (leaves,), "", kind=kind, list_only=True)
    rewiring = Rewiring(world.config, WIRINGS[kind], FENCE, world.clock, {})
    assert rewiring.wire(parse_service(world.config.stored["web"]), action, version) == ""
    assert world.journal[begun:] == ["config apply MultiClusterService"]


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        pytest.param({}, {INGRESS, GATEWAY}, id="no-status-yet"),
        pytest.param({"observedGeneration": 1}, {INGRESS}, id="the-default-alone"),
        pytest.param({"observedGeneration": 1, "ingressKinds": [GATEWAY]}, {INGRESS, GATEWAY}, id="a-move"),
        pytest.param({"observedGeneration": 1, "ingressKinds": 3}, {INGRESS}, id="garbage"),
    ],
)
def test_where_no_status_tells_the_kinds_all_are_looked_at(status, kinds):
    """Else what is asked for counts, and what the status says to be there."""
    assert kinds_in_use([{"spec": {}, "status": status}]) == kinds


def test_backends_of_which_one_is_unknown_are_unknown(world):
    """Half a count misleads: nobody leaves a list because a health check could not be read."""
    spec, at = parse_service(world.config.stored["web"]), world.clock.now()
    wiring = WIRINGS[IngressKind.MULTI_CLUSTER_INGRESS]
    made = {m["kind"]: m for m in wiring.manifests(spec, ["us-central1/gpu-us-central1"], fence=1)}
    made[INGRESS]["status"] = {"VIP": "203.0.113.7", "CloudResources": {"BackendServices": ["a", "b"]}}
    seen = Known(WiringView({kind: [made[kind.name]] for kind in wiring.observed_kinds()}), at)
    there, not_there = Known({"us-central1": 1}, at), Unknown(UnknownReason.UNREACHABLE, at)
    assert ingress_fact(spec, seen, WIRINGS, {"a": there, "b": there}, at).value.healthy.value == {"us-central1": 2}
    for health in ({"a": there, "b": not_there}, {"a": there}):
        assert isinstance(ingress_fact(spec, seen, WIRINGS, health, at).value.healthy, Unknown)


def test_where_no_member_can_be_wired_nothing_is_written(make_world):
    """A record of no cluster is never written: the move waits, and the action is told as failed."""
    world = serving_by(make_world, INGRESS)
    for member in world.members.values():
        member.apply = _refuse(errors.ServerFault("oops"))
    ask_for(world, GATEWAY)
    (service,) = world.run(1).services
    assert [result.error for result in service.results] == ["MemberFailed"]
    assert set(world.config.objects) == OBJECTS[INGRESS]


def test_an_export_that_was_left_behind_does_not_come_back_with_a_new_wiring(make_world):
    """A member that was dark when an earlier Gateway went still has its ServiceExport; it is no part of the new one."""
    world = serving_by(make_world, INGRESS, *THREE)
    wired = {each["link"] for each in world.config.objects["MultiClusterService"]["spec"]["clusters"]}
    (idle,) = (ref for ref in world.refs if ref.link not in wired)
    spec = parse_service(world.config.stored["web"])
    world.members[idle].put("ServiceExport/web", WIRINGS[IngressKind.MULTI_CLUSTER_GATEWAY].member_manifest(spec))
    ask_for(world, GATEWAY)
    world.run(1)
    assert exporting(world) == record_of(world) == wired


def test_a_foreign_export_is_left_alone_and_the_old_wiring_serves_on(make_world):
    """A ServiceExport of our name that is not ours stops the move, is told, and is not touched (S7)."""
    world = serving_by(make_world, INGRESS)
    theirs = {"kind": "ServiceExport", "metadata": {"name": "web", "namespace": "default", "labels": {}}}
    world.members[world.refs[0]].put("ServiceExport/web", theirs)
    ask_for(world, GATEWAY)
    (service,) = world.run(1).services
    assert [r.outcome.value for r in service.results] == ["ForeignObject"]
    world.run(4)
    assert world.members[world.refs[0]].objects["ServiceExport/web"]["metadata"]["labels"] == {}
    assert OBJECTS[INGRESS] <= set(world.config.objects)
    assert world.config.stored["web"]["status"]["address"] == "203.0.113.7"


def test_a_deleted_service_leaves_no_wiring_of_either_kind(make_world):
    """In the middle of a move the service is deleted: both wirings and every ServiceExport go."""
    world = serving_by(make_world, INGRESS)
    ask_for(world, GATEWAY)
    world.run(1)
    assert set(world.config.objects) == OBJECTS[INGRESS] | OBJECTS[GATEWAY]
    world.config.stored["web"]["metadata"]["deletionTimestamp"] = "2026-11-01T12:30:00Z"
    world.run(5)
    assert world.config.stored == {}
    assert world.config.objects == {}
    assert exporting(world) == set()


def test_only_kinds_in_use_are_looked_at(make_world):
    """A pass of services with the default kind asks for no Gateway, and one with the Gateway for no other kind."""
    for kind in (INGRESS, GATEWAY):
        world = serving_by(make_world, kind)
        asked = []
        listed, world.config.list_kind = world.config.list_kind, lambda k, a=asked: a.append(k.name) or []
        world.reconciler().run_pass(dry_run=True)
        world.config.list_kind = listed
        assert set(asked) == {"MultiClusterIngress": {INGRESS, "MultiClusterService"}}.get(
            kind, {"Gateway", "HTTPRoute"}
        )


def _refuse(error):
    def call(*_args, **_more):
        raise error

    return call
