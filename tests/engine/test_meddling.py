"""What other hands leave behind: nonsense in the memory, objects in the way, failures that come again and again."""

import pytest

from controlplane.engine import ExitCode
from controlplane.gateways import errors
from controlplane.model.memory import MEMORY_VERSION

INT32 = 2**31 - 1


def strict_lease(world):
    """Have the API server refuse what its int32 cannot hold."""
    replace = world.config.replace_lease

    def checked(lease):
        if lease["spec"]["leaseTransitions"] > INT32:
            raise errors.Invalid("spec.leaseTransitions: cannot unmarshal number into int32")
        return replace(lease)

    world.config.replace_lease = checked


@pytest.mark.parametrize("fence", [INT32, 4_000_000_000, 2**64, -5, True, "x"])
def test_a_fence_nobody_counted_stops_nothing(world, fence):
    """A number written into a status by hand does not take the lease away from every later run."""
    strict_lease(world)
    world.run(4)
    world.config.stored["web"]["status"]["memory"]["fence"] = fence
    world.config.stored["web"]["spec"]["replicas"] = 2
    for _ in range(6):
        report = world.run(1)
        assert report.held_by == ""
    assert report.exit_code is ExitCode.OK
    assert world.config.stored["web"]["status"]["ready"] == "2/2"


def test_a_lease_whose_count_is_full_is_counted_anew(world):
    """A Lease edited by hand to the highest number can still be taken over."""
    strict_lease(world)
    world.run(4)
    world.config.lease["spec"]["leaseTransitions"] = INT32
    world.config.stored["web"]["spec"]["replicas"] = 2
    assert world.run(5).exit_code is ExitCode.OK
    assert world.config.stored["web"]["status"]["ready"] == "2/2"


def in_the_way(world, region):
    """Put Deployments of another's, under the names that ours would have, into one region."""
    for name in ("web-l4-spot", "web-l4-on-demand"):
        metadata = {"name": name, "namespace": "default", "uid": "foreign", "resourceVersion": "1", "labels": {}}
        body = {"kind": "Foreign", "metadata": metadata, "spec": {"replicas": 5}}
        next(m for ref, m in world.members.items() if ref.region == region).objects[f"Deployment/{name}"] = body


def test_an_object_in_the_way_sends_the_hunt_elsewhere(world):
    """Where a foreign Deployment has our name, the next offering has its turn at once."""
    in_the_way(world, "europe-west4")
    in_the_way(world, "us-central1")
    del next(iter(world.members.values())).objects["Deployment/web-l4-on-demand"]
    report = world.run(6)
    assert report.exit_code is ExitCode.OK
    assert list(world.placements[0]) == ["us-central1/gpu-us-central1/web-l4-on-demand"]


def test_what_fails_in_every_pass_is_not_told_in_every_pass(world):
    """A write that is refused again and again makes an Event every ten minutes, not every pass."""
    world.run(1)

    def refuse(manifest, *, resource_version=None):
        raise errors.Forbidden("multiclusterservices is forbidden")

    world.config.apply = refuse
    world.run(40)
    names = [e["metadata"]["name"] for e in world.config.events if e["reason"] == "WireIngressRefused"]
    assert len(names) >= 20
    assert len(set(names)) <= 3


def test_a_region_that_comes_and_goes_is_told_now_and_then(world):
    """A member that answers only every other pass makes a few Events, not two in each pass."""
    world.run(4)
    before = len(world.config.events)
    member = world.members[world.refs[0]]
    for number in range(40):
        member.error = errors.DeadlineExceeded("no answer") if number % 2 else None
        world.run(1)
    told = {e["metadata"]["name"] for e in world.config.events[before:] if "FleetKnown is" in e["message"]}
    assert 2 <= len(told) <= 6


def test_an_old_copy_of_the_spec_is_not_acted_on(world, crash):
    """A GPUService read from before an edit leads to nothing, though its attempt was on record already (S3)."""
    world.hooks[2] = "crash-before"
    with pytest.raises(crash):
        world.run(1)
    world.clock.advance(61)
    (old,) = world.config.services()
    region = old["status"]["memory"]["placements"][0]["offering"]["cluster"]["location"]
    live = world.config.stored["web"]
    live["spec"]["regions"] = {"denied": [region]}
    live["metadata"]["generation"] = 2
    live["metadata"]["resourceVersion"] = "edited"
    fresh, world.config.services = world.config.services, lambda: [old]
    report = world.run(1)
    assert report.exit_code is ExitCode.CUT_OFF
    assert world.placements[0] == {}
    world.config.services = fresh
    world.run(4)
    assert world.config.stored["web"]["status"]["ready"] == "1/1"
    assert [name for name in world.placements[0] if name.startswith(region)] == []


NONSENSE = (None, 5, "x", True, [], {}, [None], ["x"], {"a": None}, 1e308, "9999-12-31T23:59:59Z")


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
@pytest.mark.parametrize("place", [("conditions",), ("conditions", 1), ("conditions", 1, "type"), ("memory",)], ids=str)
def test_nonsense_in_the_status_ends_no_pass(world, place, value):
    """Whatever stands in a status, the pass goes on, takes nothing away, and puts the status right."""
    world.run(4)
    before = world.placements
    holder = world.config.stored["web"]["status"]
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    assert world.run(3).exit_code is ExitCode.OK
    assert world.placements == before
    assert all(isinstance(c["type"], str) for c in world.config.stored["web"]["status"]["conditions"])


def test_a_wiring_that_was_left_out_of_a_list_is_not_written_over(make_world):
    """A list without our MultiClusterService takes no silent cluster out of the address (S2)."""
    world = make_world()
    world.config.add(replicas=2, spread={"maxReplicasPerRegion": 1})
    world.run(6)
    wired = world.placements[1]
    assert len(wired) == 2
    world.members[world.refs[0]].error = errors.DeadlineExceeded("no answer")
    whole, world.config.list_kind = world.config.list_kind, lambda _kind: []
    world.run(1)
    assert world.placements[1] == wired
    world.config.list_kind = whole
    world.run(3)
    assert world.placements[1] == wired


def test_a_watching_run_takes_over_from_a_dead_one_with_a_fast_clock(world):
    """`--watch` waits for the lease's time, not for the clock of the one that died."""
    from datetime import timedelta

    world.clock.skew = timedelta(hours=1)
    world.reconciler(run_id="dead").run_pass(keep_lease=True)
    world.clock.skew = timedelta(0)
    heir = world.reconciler(run_id="heir")
    held = []
    for _ in range(5):
        held.append(heir.run_pass(keep_lease=True).held_by)
        world.clock.advance(20)
    assert held == ["dead", "dead", "dead", "dead", ""]


@pytest.mark.parametrize("memory", [None, {"version": 1, "placements": "rubbish"}], ids=["gone", "garbage"])
def test_without_memory_what_a_silent_region_holds_counts_as_unknown(make_world, memory):
    """A memory that is lost while a region is dark does not free the cap of what stands there (S4)."""
    world = make_world("us-central1", "us-east4", "europe-west4")
    world.config.add(replicas=2, maxHourlyCost=1.0, spread={"maxReplicasPerRegion": 1})
    world.run(6)
    held = world.placements
    dark = next(member for member in world.members.values() if member.deployments())
    dark.error = errors.DeadlineExceeded("no answer")
    world.config.stored["web"]["status"]["memory"] = memory
    if memory is None:
        del world.config.stored["web"]["status"]["memory"]
    world.run(6)
    assert world.placements == held
    dark.error = None
    world.run(4)
    assert world.placements == held
    assert world.config.stored["web"]["status"]["ready"] == "2/2"
    assert world.config.stored["web"]["status"]["memory"]["version"] == MEMORY_VERSION


def test_workloads_that_lost_their_service_are_told_and_left_alone(world):
    """A GPUService that went without its finalizer leaves GPUs behind: the pass names them and deletes nothing."""
    world.run(5)
    before = world.placements
    assert before[0]
    assert world.run(1).strays == ()
    del world.config.stored["web"]
    report = world.run(2)
    assert len(report.strays) == len(before[0]) > 0
    assert all("default/web" in stray for stray in report.strays)
    assert world.placements == before
