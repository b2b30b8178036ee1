"""The Fleet in a pass: what rules, what is told, what is written, and what leaves."""

import io
import json
from datetime import timedelta

import pytest

from controlplane.engine import ExitCode
from controlplane.engine.logs import configure
from controlplane.model.facts import Unknown
from controlplane.model.fleet import ClusterStanding, EndpointChoice, FleetSpec, OnDemand
from controlplane.model.offering import ClusterRef

CONFIG = ClusterRef("us-west2", "hunt-config")
FILE = FleetSpec("project", CONFIG, labels={"team": "art"}, on_demand=OnDemand(("us-east1",), 1, timedelta(hours=1)))


def store(world, **spec):
    """Put a Fleet into the config cluster."""
    world.config.stored_fleet = {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "Fleet",
        "metadata": {"name": "default", "generation": 3, "resourceVersion": "1"},
        "spec": {"project": "project", "configCluster": CONFIG.link, **spec},
    }


def status_of(world):
    return world.config.stored_fleet["status"]


def condition(world, kind):
    (found,) = [each for each in status_of(world)["conditions"] if each["type"] == kind]
    return found["status"], found["reason"]


def test_without_any_fleet_the_defaults_are_asked_for(world):
    """Project and config cluster are those of the run, and no label is wanted."""
    world.run()
    assert world.asked[-1][0] == FleetSpec("project", CONFIG)


def test_a_file_stands_in_for_the_object(world):
    """Its labels narrow the fleet; that its clusters on demand have no memory is said in a line."""
    world.fleet_file = FILE
    report = world.run()
    assert world.asked[-1][0] == FILE
    assert [line for line in report.warnings if "spec.clustersOnDemand has no effect" in line]


def test_the_object_rules_over_a_file(world):
    """What differs is named, and every run sees the same fleet."""
    store(world, members={"endpoint": "dns"})
    world.fleet_file = FILE
    report = world.run()
    assert world.asked[-1][0] == FleetSpec("project", CONFIG, endpoint=EndpointChoice.DNS)
    (said,) = report.warnings
    assert "differ in members.labels, members.endpoint, clustersOnDemand; the latter rules" in said
    world.fleet_file = FleetSpec("project", CONFIG, endpoint=EndpointChoice.DNS)
    assert world.run().warnings == ()


@pytest.mark.parametrize("json_lines", [True, False], ids=["programs", "people"])
def test_what_a_person_is_shown_in_the_result_is_a_warning_in_the_log_for_programs_alone(world, json_lines):
    """A person at a terminal reads it once; an alert on severity finds it."""
    store(world, members={"endpoint": "dns"})
    world.fleet_file = FILE
    stream = io.StringIO()
    configure(json_lines=json_lines, level="info" if json_lines else "warning", stream=stream)
    assert world.run().warnings
    told = [line for line in stream.getvalue().splitlines() if "the latter rules" in line]
    assert [json.loads(line)["severity"] for line in told] == (["WARNING"] if json_lines else [])


def test_a_fleet_that_cannot_be_read_makes_the_fleet_unknown(world):
    """Nothing is discovered by defaults, what serves stays, and the mistake is one line and a condition."""
    world.run(4)
    held, asked = world.placements, len(world.asked)
    store(world, members={"name": "no-region"})
    report = world.run(2)
    assert report.exit_code is ExitCode.BAD_CONFIGURATION
    assert report.message.startswith('Fleet default: spec.members.name: "no-region" must contain {region} once')
    assert len(world.asked) == asked
    assert world.placements == held
    assert condition(world, "Valid") == ("False", "SpecInvalid")
    assert condition(world, "Discovered") == ("Unknown", "Unreadable")


@pytest.mark.parametrize("spec", [{"project": "other-project"}, {"configCluster": "us-east1/other"}], ids=str)
def test_a_fleet_of_another_config_cluster_stops_the_pass(world, spec):
    """Two config clusters that hunt at once would fight; nothing is done and the line says what to do."""
    store(world, **spec)
    report = world.run()
    assert report.exit_code is ExitCode.BAD_CONFIGURATION
    assert "connect there, or correct the Fleet" in report.message
    assert not [label for label in world.journal if "Deployment" in label]


def test_the_status_tells_of_every_cluster(world):
    """Members with what they are called by, the others with why not, and how many can be used."""
    store(world, clustersOnDemand={"regions": ["us-east1"], "max": 2})
    first, *rest = (ClusterStanding(ref, endpoint="dns", version="1.37") for ref in world.refs)
    made = ClusterStanding(
        ClusterRef("us-east1", "gpu"), state="ERROR", why="it is ERROR", labels={"gpu-hunter": "on-demand"}
    )
    other = ClusterStanding(ClusterRef("us-west1", "web"), belongs=False, why="it is no Autopilot cluster")
    world.standings = (first, *rest, made, other)
    world.run()
    status = status_of(world)
    assert (status["clusters"], status["onDemand"]) == (f"{len(world.refs)}/{len(world.refs) + 1}", "1/2")
    assert status["members"][0] == {
        "cluster": first.ref.link, "region": first.ref.region, "state": "RUNNING", "version": "1.37", "endpoint": "dns",
    }  # fmt: skip
    assert status["members"][-1]["reason"] == "it is ERROR"
    assert status["others"] == [{"cluster": "us-west1/web", "reason": "it is no Autopilot cluster"}]
    assert (status["observedGeneration"], condition(world, "Valid")) == (3, ("True", "SpecValid"))
    assert condition(world, "IngressFeature") == ("True", "Enabled")


def test_the_status_is_written_when_it_changed_and_only_then(world):
    """A quiet pass writes nothing; what another part keeps there stays."""
    store(world)
    world.run()
    world.config.stored_fleet["status"]["memory"] = {"version": 1}
    written = [label for label in world.journal if label == "config fleet status"]
    world.run(3)
    assert [label for label in world.journal if label == "config fleet status"] == written
    world.unlisted = ("us-east4",)
    world.run()
    assert condition(world, "Discovered") == ("Unknown", "ListIncomplete")
    assert status_of(world)["memory"] == {"version": 1}
    assert len([label for label in world.journal if label == "config fleet status"]) == len(written) + 1


def test_what_could_not_be_listed_stays_as_it_was_told(world):
    """The clusters of the last pass are shown under a condition that says that they are not known now."""
    from controlplane.gateways import errors

    store(world)
    world.run()
    before = status_of(world)["members"]
    world.listing_error = errors.Throttled("slow down")
    world.run()
    assert status_of(world)["members"] == before
    assert condition(world, "Discovered") == ("Unknown", "Throttled")


def test_a_dry_run_writes_no_status(world):
    """It tells the fleet all the same."""
    store(world)
    report = world.reconciler().run_pass(dry_run=True)
    assert world.journal == []
    assert not isinstance(report.fleet, Unknown)
    assert {each.ref for each in report.fleet.value.standings} == set(world.refs)


def test_a_status_that_cannot_be_written_costs_nothing_else(world):
    """Somebody changed the Fleet meanwhile: the services of the pass are served, the next pass tells."""
    store(world)
    world.config.write_fleet_status = lambda *_: (_ for _ in ()).throw(_conflict())
    assert world.run().exit_code in (ExitCode.OK, ExitCode.BELOW_TARGET)


def _conflict():
    from controlplane.gateways import errors

    return errors.Conflict("changed")


def test_what_holds_placements_is_named_to_discovery(world):
    """So that a cluster which belongs no more is left, and not forgotten."""
    world.run(4)
    (held,) = {link for link, replicas in world.placements[0].items() if replicas}
    assert {ref.link for ref in world.asked[-1][1]} == {held.rpartition("/")[0]}


def test_a_leaving_cluster_is_left_once_its_replacement_serves(world):
    """Nothing new is asked for there; what serves goes only after another cluster was proven to serve."""
    world.run(6)
    ((link, _),) = [(link, n) for link, n in world.placements[0].items() if n]
    ref = next(each for each in world.refs if link.startswith(each.link))
    world.leaving = {ref}
    seen = []
    for _ in range(60):
        world.run()
        held, wired = world.placements
        seen.append((sorted(each for each, n in held.items() if n), wired))
    assert any(link in held and len(held) > 1 for held, _ in seen), "the new one is made before the old one goes"
    assert all(wired for _, wired in seen)
    held, wired = world.placements
    assert link not in held or not held[link]
    assert ref.link not in wired
    assert sum(held.values()) == 1


def test_a_fleet_that_may_not_be_read_ends_the_pass(world):
    """Without knowing what belongs nothing is placed: an account of older rights is told so."""
    from controlplane.gateways import errors

    def refused():
        raise errors.Forbidden("fleets.gpuhunter.dev is forbidden")

    world.config.fleet = refused
    report = world.run()
    assert (report.exit_code, "forbidden" in report.message) == (ExitCode.CUT_OFF, True)
    assert not [label for label in world.journal if "Deployment" in label]
