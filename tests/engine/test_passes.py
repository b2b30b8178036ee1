"""Whole passes over a small world, with the real decision and the real status."""

import threading
import time

import pytest

from controlplane.engine import ExitCode, Limits, Outcome, Stop, watch
from controlplane.gateways import errors
from controlplane.model import naming
from controlplane.model.facts import Known
from controlplane.model.observation import Quota, RegionSignals


def deployments(world):
    return world.placements[0]


def test_a_service_comes_to_serve_and_then_nothing_is_written(world):
    """A new GPUService serves within a few passes; passes after that write nothing but the lease."""
    report = world.run(4)
    written = len(world.journal)
    assert report.exit_code is ExitCode.OK
    assert world.config.stored["web"]["status"]["ready"] == "1/1"
    report = world.run(10)
    assert world.journal[written:] == []
    assert report.exit_code is ExitCode.OK


def test_an_idle_pass_makes_few_calls(world):
    """With nothing to do, the config cluster is asked at most eight times and a member at most four."""
    world.run(4)
    before = world.config.calls
    report = world.run(1)
    assert world.config.calls - before <= 8
    assert all(calls <= 4 for link, calls in report.calls.items() if link != "config")


def test_the_intent_is_written_before_the_deployment(world):
    """The status with the attempt is in the config cluster before any member is written to."""
    world.run(1)
    status = world.journal.index("config status web")
    member = next(i for i, label in enumerate(world.journal) if "/gpu-" in label)
    assert status < member
    assert world.config.stored["web"]["metadata"]["finalizers"] == [naming.FINALIZER]


def test_dry_run_writes_nothing_and_says_what_apply_does(world):
    """A plan takes no lease, writes nothing, and equals what the next pass does (Q2, S10)."""
    for _ in range(4):
        written = len(world.journal)
        planned = world.reconciler().run_pass(dry_run=True)
        assert world.journal[written:] == []
        assert planned.fence == 0
        applied = world.run(1)
        plan = [str(action) for service in planned.services for action in service.decision.plan]
        assert plan == [str(result.action) for service in applied.services for result in service.results]
    assert world.placements[1] is not None


def test_a_dry_run_of_an_untouched_world_leaves_no_lease(world):
    """Not even the lease is created."""
    world.reconciler().run_pass(dry_run=True)
    assert world.config.lease is None


def test_another_live_run_holds_the_lease(world):
    """The second run says who holds the lease, does nothing and ends with exit code 0."""
    first = world.reconciler(run_id="first")
    first.run_pass(keep_lease=True)
    written = len(world.journal)
    report = world.reconciler(run_id="second").run_pass()
    assert report.exit_code is ExitCode.OK
    assert report.held_by == "first"
    assert world.journal[written:] == []


def test_a_lease_that_ran_out_is_taken_over_with_a_higher_fence(world):
    """A run that died without releasing is succeeded after the lease's time, under a new fence number."""
    world.reconciler(run_id="dead").run_pass(keep_lease=True)
    world.clock.advance(61)
    report = world.reconciler(run_id="next").run_pass()
    assert report.held_by == ""
    assert report.fence == 2


def test_the_fence_never_goes_back_when_the_lease_was_deleted(world):
    """A deleted Lease would begin to count anew; the status remembers the last fence."""
    world.run(3)
    seen = world.config.stored["web"]["status"]["memory"]["fence"]
    world.config.lease = None
    assert world.run(1).fence > seen


def test_a_paused_holder_that_lost_the_lease_writes_nothing(world):
    """Another run takes the lease while this one is deciding; not one of its writes goes through (S5)."""
    late = world.reconciler(run_id="late")
    honest = late._judge.judge

    def slow(service, view):
        world.clock.advance(120)
        other = world.reconciler(run_id="other")
        other.run_pass(keep_lease=True)
        slow.written = len(world.journal)
        return honest(service, view)

    late._judge = type("Judge", (), {"judge": staticmethod(slow)})()
    report = late.run_pass()
    assert report.exit_code is ExitCode.CUT_OFF
    assert world.journal[slow.written :] == []
    assert world.config.lease["spec"]["holderIdentity"] == "other"


def test_a_status_is_not_written_after_the_lease_was_lost(world):
    """Where the status is the first write of the pass, the fence stands before it too (S5)."""
    world.run(4)
    world.config.stored["web"]["spec"]["replicas"] = 2
    late = world.reconciler(run_id="late")
    honest = late._judge.judge

    def slow(service, view):
        world.clock.advance(65)  # longer than the lease, shorter than the pass
        return honest(service, view)

    late._judge = type("Judge", (), {"judge": staticmethod(slow)})()
    written = len(world.journal)
    assert late.run_pass().exit_code is ExitCode.CUT_OFF
    assert world.journal[written:] == []


def test_the_report_stays_the_same_while_nothing_is_feasible(world):
    """Without quota nothing can be tried: it is said once, with exit code 3, and not written again (L6)."""
    quotas = {"NVIDIA_L4_GPUS": Quota(0, 0), "PREEMPTIBLE_NVIDIA_L4_GPUS": Quota(0, 0)}
    offered = Known(frozenset({"nvidia-l4"}), world.clock.now())
    signals = RegionSignals(offered, Known(quotas, world.clock.now()))
    world.regions = lambda wanted, _types: dict.fromkeys(wanted, signals)
    world.run(2)
    told, written = world.config.stored["web"]["status"], len(world.journal)
    report = world.run(60)
    assert report.exit_code is ExitCode.NOTHING_FEASIBLE
    assert not any(service.status_written for service in report.services)
    assert world.journal[written:] == []
    assert told["refusals"] == {"QuotaExhausted": 4}


def test_destructive_writes_ask_for_the_lease_again(world):
    """A lease that was taken by force is noticed before anything is deleted, even inside its time."""
    world.run(4)
    world.config.stored["web"]["metadata"]["deletionTimestamp"] = "2026-11-01T12:10:00Z"
    reconciler = world.reconciler(run_id="late")
    act = reconciler._observer.view

    def stolen(fleet, config):
        view = act(fleet, config)
        world.config.lease["spec"] |= {"holderIdentity": "thief", "leaseTransitions": 99}
        return view

    reconciler._observer.view = stolen
    held = deployments(world)
    written = len(world.journal)
    reconciler.run_pass()
    assert deployments(world) == held
    assert not [label for label in world.journal[written:] if "delete" in label]


def test_a_request_to_stop_ends_the_pass_before_the_next_write(world):
    """After SIGTERM no action begins, the lease is given back, and the exit code says cut off."""
    stop = Stop()
    stop.request()
    report = world.reconciler(stop=stop).run_pass()
    assert report.exit_code is ExitCode.CUT_OFF
    assert world.journal == []
    assert world.config.lease["spec"]["holderIdentity"] == ""


def test_watching_keeps_the_lease_and_stops_when_asked(world):
    """The lease stays with the process between passes and is given back at the end."""
    reconciler = world.reconciler()
    holders = []

    def on_pass(report):
        holders.append(world.config.lease["spec"]["holderIdentity"])
        world.settle()
        world.clock.advance(30)
        if len(holders) == 3:
            reconciler.stop.request()

    watch(reconciler, interval=0.0, on_pass=on_pass)
    assert holders == [reconciler.run_id] * 3
    assert world.config.lease["spec"]["holderIdentity"] == ""
    assert world.config.lease["spec"]["leaseTransitions"] == 1


def test_a_hanging_member_delays_nobody(make_world):
    """A member that never answers is Unknown after its own deadline; the others are handled in the same pass."""
    world = make_world("us-central1", "europe-west4", "asia-southeast1")
    world.config.add(replicas=1)
    release = threading.Event()
    hanging = world.members[world.refs[2]]
    began = time.monotonic()
    world.reconciler().run_pass(dry_run=True)
    seconds = max(0.5, 20 * (time.monotonic() - began))  # many times what those that answer take, on a busy machine too
    hanging.error = release.wait
    report = world.reconciler(limits=Limits(member=seconds, signals=60, config=60)).run_pass()
    release.set()
    assert list(report.unknown) == [hanging.ref.link]
    assert "DeadlineExceeded" in report.unknown[hanging.ref.link]
    assert report.services[0].results[0].outcome is Outcome.DONE


def test_a_member_that_cannot_be_reached_loses_nothing(world):
    """A serving member that stops answering keeps its Deployment and its place behind the address (S2)."""
    world.run(4)
    held, wired = world.placements
    serving = next(m for m in world.members.values() if m.deployments())
    serving.error = errors.Unreachable("connection refused")
    for _ in range(3):
        report = world.run(1)
    assert report.unknown
    assert wired[0] in world.placements[1]
    assert held.items() <= deployments(world).items()


def test_a_fleet_listing_that_fails_deletes_nothing(world):
    """Without a listing the pass is cut off and changes nothing in the members."""
    world.run(4)
    held, wired = world.placements
    world.listing_error = errors.ServerFault("backend error")
    report = world.run(2)
    assert report.exit_code is ExitCode.CUT_OFF
    assert world.placements == (held, wired)


def test_an_incomplete_listing_deletes_nothing(make_world):
    """A listing that leaves a cluster out and says so removes neither its placement nor its place."""
    world = make_world("us-central1", "europe-west4")
    world.config.add()
    world.run(4)
    _, wired = world.placements
    world.unlisted = tuple(link.split("/")[0] for link in wired)
    world.refs = [ref for ref in world.refs if ref.link not in wired]
    world.run(3, settle=False)
    assert wired[0] in [c["link"] for c in world.config.objects["MultiClusterService"]["spec"]["clusters"]]


def test_the_config_cluster_is_away(world):
    """Without the config cluster nothing can be done: the pass is cut off with one clear message."""
    world.config.error = errors.Unreachable("connection refused")
    report = world.reconciler().run_pass()
    assert report.exit_code is ExitCode.CUT_OFF
    assert "connection refused" in report.message


def test_a_missing_definition_is_a_configuration_problem(world):
    """Exit code 64 and the remedy when the custom resource definition is not installed."""
    world.config.services = lambda: (_ for _ in ()).throw(errors.ConfigurationProblem("no CRD; install it"))
    report = world.reconciler().run_pass()
    assert report.exit_code is ExitCode.BAD_CONFIGURATION
    assert report.message == "no CRD; install it"


def test_a_service_that_cannot_be_read_stops_no_other(world):
    """The one gets a condition and exit code 64, the other its GPUs."""
    world.config.add("broken", replicas=-1)
    report = world.run(1)
    status = world.config.stored["broken"]["status"]
    assert report.exit_code is ExitCode.BAD_CONFIGURATION
    assert status["conditions"][0]["reason"] == "SpecRejected"
    assert "spec.replicas" in status["conditions"][0]["message"]
    assert len(deployments(world)) == 1
    written = len(world.journal)
    world.run(1, settle=False)
    assert "config status broken" not in world.journal[written:]


@pytest.mark.parametrize(
    "memory",
    ["garbage", {"version": 99}, {"version": 1, "placements": [{"x": 1}]}, [], {"version": 1, "attempts": "?"}],
    ids=["text", "newer version", "wrong shape", "list", "wrong type"],
)
def test_an_unreadable_memory_takes_nothing_away(world, memory):
    """Safe mode: the memory is rebuilt from the clusters and nothing destructive happens (S2)."""
    world.run(4)
    held, wired = world.placements
    world.config.stored["web"]["status"]["memory"] = memory
    written = len(world.journal)
    report = world.run(1)
    assert report.services[0].safe_mode
    assert not [label for label in world.journal[written:] if "delete" in label or "scale" in label]
    world.run(4)
    assert world.placements == (held, wired)


def test_a_paused_service_is_left_alone(world):
    """A paused GPUService gets no write at all (S10)."""
    world.run(4)
    world.config.stored["web"]["spec"] |= {"paused": True, "replicas": 3}
    written = len(world.journal)
    report = world.run(2)
    assert world.journal[written:] == []
    assert report.exit_code is ExitCode.OK


def test_a_paused_service_that_cannot_be_read_gets_no_status(world):
    """The report says what is wrong with it; nothing is written (S10)."""
    world.config.add("broken", replicas=-1, paused=True)
    world.config.stored.pop("web")
    report = world.run(1)
    assert report.exit_code is ExitCode.BAD_CONFIGURATION
    assert "spec.replicas" in report.services[0].problem
    assert world.journal == []
    assert "status" not in world.config.stored["broken"]


def test_a_paused_service_is_taken_down_when_it_is_deleted(world):
    """The deletion is the user's later word; the finalizer would hang for ever otherwise."""
    world.run(4)
    world.config.stored["web"]["spec"]["paused"] = True
    world.run(1)
    world.config.stored["web"]["metadata"]["deletionTimestamp"] = "2026-11-01T12:10:00Z"
    for _ in range(40):
        world.run(1)
        if not world.config.stored:
            break
    assert world.config.stored == {}
    assert deployments(world) == {}


def test_a_foreign_deployment_of_our_name_is_not_touched(world):
    """An object that bears our name without our labels stays as it is, and the report says so (S7)."""
    for member in world.members.values():
        for name in ("web-l4-spot", "web-l4-on-demand"):
            member.objects[f"Deployment/{name}"] = {
                "kind": "Deployment",
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "uid": "foreign",
                    "resourceVersion": "1",
                    "labels": {},
                },
                "spec": {"replicas": 5},
            }
    before = {ref: dict(member.objects) for ref, member in world.members.items()}
    report = world.run(1, settle=False)
    assert report.services[0].results[0].outcome is Outcome.FOREIGN
    assert {ref: dict(member.objects) for ref, member in world.members.items()} == before


def test_deleting_takes_everything_down_and_lets_go(world):
    """A deleted GPUService loses its address first and its finalizer last; nothing of ours stays."""
    world.run(4)
    world.config.stored["web"]["metadata"]["deletionTimestamp"] = "2026-11-01T12:10:00Z"
    for _ in range(40):
        world.run(1)
        if not world.config.stored:
            break
    assert world.config.stored == {}
    assert deployments(world) == {}
    assert "MultiClusterIngress" not in world.config.objects
    left = {key for member in world.members.values() for key in member.objects}
    assert left <= {"Namespace/default", "PriorityClass/gpu-hunter-service"}  # which others share
    order = [label for label in world.journal if "delete" in label]
    assert order.index("config delete MultiClusterIngress") < order.index("config delete MultiClusterService")


def test_a_bug_in_one_service_is_reported_and_stops_no_other(world):
    """Exit code 70 for the one, a Deployment for the other."""
    world.config.add("other")
    reconciler = world.reconciler()
    real = reconciler._judge.judge

    def judge(service, view):
        if service["metadata"]["name"] == "web":
            raise ZeroDivisionError
        return real(service, view)

    reconciler._judge = type("Judge", (), {"judge": staticmethod(judge)})()
    report = reconciler.run_pass()
    assert report.exit_code is ExitCode.BUG
    assert [key for key in deployments(world) if "other" in key]


@pytest.mark.parametrize(("silent", "code"), [(1, ExitCode.OK), (2, ExitCode.OK), (3, ExitCode.CUT_OFF)], ids=str)
def test_more_than_half_of_the_regions_unknown_is_cut_off(make_world, silent, code):
    """Of four regions, two that are silent are half of them and no more: the same rule as the guard's (S8)."""
    world = make_world("us-central1", "us-east4", "europe-west4", "asia-southeast1")
    world.config.add()
    world.run(4)
    idle = [member for member in world.members.values() if not member.deployments()]
    for member in idle[:silent]:
        member.error = errors.Unreachable("refused")
    assert world.run(1).exit_code is code


def test_most_regions_unknown_is_cut_off(world):
    """When no region answers, the exit code says so and nothing is removed (S8)."""
    world.run(4)
    held, wired = world.placements
    for member in world.members.values():
        member.error = errors.Unreachable("refused")
    report = world.run(2)
    assert report.exit_code is ExitCode.CUT_OFF
    assert world.placements == (held, wired)


def test_events_tell_of_changes_only(world):
    """Actions and changed conditions become Events on the GPUService; a steady pass has none."""
    world.run(4)
    reasons = {event["reason"] for event in world.config.events}
    assert {"ApplyPlacement", "WireIngress"} <= reasons
    assert all(event["involvedObject"]["kind"] == "GPUService" for event in world.config.events)
    count = len(world.config.events)
    world.run(5)
    assert len(world.config.events) == count
