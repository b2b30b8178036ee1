"""The Fleet: labels that select nothing, clusters outside the fleet, endpoints that cannot be reached."""

from dataclasses import replace

import pytest

from controlplane.doctor.finding import State
from controlplane.doctor.fleetrights import GATEWAY_PERMISSIONS
from regional_deploy.runner import growth_permissions

pytestmark = pytest.mark.usefixtures("reviews_granted")


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


ON_DEMAND = {"regions": ["us-east4"], "max": 1}
GATEWAY = {"endpoint": "connectGateway"}


def test_what_clusters_on_demand_take_is_named_with_the_role_that_grants_it(project, examine, store):
    """A Fleet that wants clusters made, and an account that may not make or delete them."""
    store(clustersOnDemand=ON_DEMAND)
    project.call(lambda: project.google.deny(["container.clusters.create", "gkehub.memberships.delete"]))
    found = examine().the("permissions", State.FAIL)
    assert (found.subject, found.what) == (
        "clusters on demand",
        "missing: container.clusters.create, gkehub.memberships.delete",
    )
    assert "no cluster is made on demand" in found.breaks
    assert "roles create gpuHunterGrowth" in found.mend
    assert "--file=regional_deploy/rbac/google-cloud-role-growth.yaml" in found.mend
    assert found.mend.endswith(f"--role=projects/{project.name}/roles/gpuHunterGrowth")


def test_that_nodes_may_not_be_given_their_account_is_told_with_the_command_that_allows_it(project, examine, store):
    """GKE refuses a cluster to who may not use the account that its nodes run as."""
    store(clustersOnDemand=ON_DEMAND)
    project.call(lambda: project.google.deny(["iam.serviceAccounts.actAs"]))
    found = examine().the("permissions", State.FAIL)
    assert found.subject.endswith("-compute@developer.gserviceaccount.com")
    assert found.mend.startswith(f"gcloud iam service-accounts add-iam-policy-binding {found.subject} --member=service")
    assert "--role=roles/iam.serviceAccountUser" in found.mend


def test_what_the_connect_gateway_takes_is_named_with_the_role_that_grants_it(project, examine, store):
    """Every call to a cluster goes through it."""
    store(members=GATEWAY)
    project.call(lambda: project.google.deny(["gkehub.gateway.patch"]))
    found = examine().the("permissions", State.FAIL)
    assert (found.subject, found.what) == ("the Connect gateway", "missing: gkehub.gateway.patch")
    assert found.mend.endswith("--role=roles/gkehub.gatewayEditor")


def test_what_no_choice_of_the_fleet_takes_is_not_asked_for(project, examine, store):
    """Without clusters on demand and the Connect gateway, their permissions may lack."""
    store()
    project.call(lambda: project.google.deny([*growth_permissions(), *GATEWAY_PERMISSIONS]))
    assert examine().amiss("permissions") == []


def test_all_that_the_choices_take_may_be_granted(project, examine, store):
    """Each is told to be well by its name."""
    store(clustersOnDemand=ON_DEMAND, members=GATEWAY)
    told = [f for f in examine() if f.check == "permissions"]
    assert {f.state for f in told} == {State.OK}
    base, growth, nodes, gateway = (f.subject for f in told)
    assert (base, growth, gateway) == (project.name, "clusters on demand", "the Connect gateway")
    assert nodes.endswith("-compute@developer.gserviceaccount.com")


def test_where_the_permissions_of_choices_cannot_be_asked_that_is_only_worth_knowing(project, examine, store):
    """Resource Manager may be out of order: each question is told as open."""
    store(clustersOnDemand=ON_DEMAND)
    project.fail("gcp", "503", path="testIamPermissions")
    found = examine().amiss("permissions")
    assert [each.state for each in found] == [State.WARN] * 3
    assert found[1].subject == "clusters on demand"
