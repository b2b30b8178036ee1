"""The Fleet: labels that select nothing, clusters outside the fleet, endpoints that cannot be reached."""

from dataclasses import replace

import pytest

from controlplane.doctor.finding import State


@pytest.fixture
def store(project):
    """Give a function that stores a Fleet with these members in the config cluster."""

    def stored(**spec):
        here = {"project": project.name, "configCluster": "us-west2/hunt-config"}
        manifest = {"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "Fleet", "metadata": {"name": "default"}}
        project.admin(project.config).apply({**manifest, "spec": {**here, **spec}})

    return stored


def test_labels_that_select_nothing_are_told_with_the_command_that_sets_them(project, examine, store):
    """There are clusters, and none of them carries what the Fleet asks for."""
    store(members={"labels": {"team": "art"}})
    *each, whole = examine().amiss("fleet")
    assert whole.state is State.FAIL
    assert "members.labels select nothing: no cluster carries team=art, of 2 that there are" in whole.what
    name, place = project.members[0].name, f"--location={project.members[0].location}"
    commands = [finding.mend for finding in each]
    assert (
        f"gcloud container clusters update {name} {place} --project={project.name} --update-labels=team=art" in commands
    )


def test_a_cluster_without_the_label_beside_one_with_it_is_worth_knowing(project, examine, store):
    """One member is left, so the hunt goes on."""
    project.host.clusters[1] = replace(project.host.clusters[1], labels={"team": "art"})
    store(members={"labels": {"team": "art"}})
    found = examine().the("fleet", State.WARN)
    assert found.subject.endswith(project.members[1].name)
    assert found.mend.endswith("--update-labels=team=art")


def test_an_endpoint_that_a_cluster_does_not_have_is_told_with_the_command_that_opens_it(project, examine, store):
    """The Fleet's choice is taken at its word."""
    store(members={"endpoint": "dns"})
    found = [finding for finding in examine().amiss("fleet") if finding.subject != project.name]
    assert [finding.state for finding in found] == [State.WARN] * len(project.members)
    assert {finding.what for finding in found} == {"its DNS endpoint takes no traffic from outside"}
    assert all(finding.mend.endswith("--enable-dns-access") for finding in found)


def test_a_cluster_outside_the_fleet_is_told_with_the_command_that_registers_it(project, examine, store):
    """Without a membership no ingress leads to it."""
    project.host.clusters[1] = replace(project.host.clusters[1], fleet=False)
    store()
    found = examine().the("fleet", State.WARN)
    assert found.mend.endswith("--enable-fleet")
