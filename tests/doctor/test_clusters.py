"""The fleet and its clusters: there, reachable, with the kinds and the rights that a pass needs."""

import re
from dataclasses import replace

import pytest

from controlplane.api.crd import custom_resource_definition
from controlplane.doctor import clusters
from controlplane.doctor.clusters import SLOW
from controlplane.doctor.finding import State
from controlplane.gateways.kubeapi import KubernetesApi
from controlplane.gateways.resources import CUSTOM_RESOURCE_DEFINITIONS
from controlplane.model.service import IngressKind

GATEWAY = IngressKind.MULTI_CLUSTER_GATEWAY


def test_a_config_cluster_that_is_not_there_is_told(project, examine):
    """With the command that makes it, in the place that was named."""
    found = examine(config_cluster="us-west2/nothing").the("config cluster", State.FAIL)
    assert found.mend.startswith("gcloud container clusters create-auto nothing --location=us-west2")


def test_a_fleet_without_members_is_told(project, examine):
    """The config cluster is no member, so there is nowhere to place anything."""
    project.host.clusters = [project.config]
    assert "--fleet-project=gpu-hunter-local" in examine().the("fleet", State.FAIL).mend


def test_a_member_that_is_not_ready_is_worth_knowing(project, examine):
    """Its status is told, and the others are members all the same."""
    first, second = project.members
    project.host.clusters = [project.config, replace(first, status="PROVISIONING"), second]
    assert "PROVISIONING" in examine().the("fleet", State.WARN).what


def test_a_listing_that_is_not_complete_is_worth_knowing(project, examine):
    """Locations that could not be asked are named."""
    place = project.members[0].location
    project.call(lambda: project.stock.region_down(place))
    assert place in examine().the("fleet", State.WARN).what


@pytest.mark.parametrize("kind", ["cut", "503", "expired-credential", "403"])
def test_a_member_that_does_not_answer_is_told(project, examine, kind):
    """It alone is not reachable; the rest is looked at as ever."""
    lost, well = project.members
    project.fail(lost.name, kind)
    findings = examine()
    assert lost.name in findings.the("reachable", State.FAIL).subject
    assert {f.subject.rpartition("/")[2] for f in findings if f.check == "rbac"} == {well.name, project.config.name}


def test_a_member_that_hangs_delays_no_other(project, examine, until):
    """It is silent until all others were asked whatever there is to ask, and then for as long as it is listened to."""
    lost, well = project.members
    project.fail(lost.name, "hang")
    waited = []

    def opened(endpoint, api):
        if endpoint.url.endswith(lost.endpoint):
            waited.append(until(lambda: project.examined >= {well.name, project.config.name}))
            return KubernetesApi(endpoint, lambda: "any", timeouts=(60.0, 0.5))
        return api

    findings = examine(opened=opened)
    assert waited == [True]
    assert lost.name in findings.the("reachable", State.FAIL).subject
    assert {f.subject.rpartition("/")[2] for f in findings if f.check == "rbac"} == {well.name, project.config.name}


def test_a_member_that_is_slow_is_worth_knowing(project, examine, monkeypatch):
    """Its latency is told."""
    monkeypatch.setattr(clusters, "SLOW", SLOW)
    slow, _ = project.members
    project.fail(slow.name, "latency", path="^/version", seconds=1.2)
    (found,) = [each for each in examine() if each.check == "reachable" and slow.name in each.subject]
    assert found.state is State.WARN
    assert re.search(r"answers in [1-9]", found.what)


def test_missing_kinds_are_told(bare, examine):
    """GPUService, Fleet and GPUBatch are ours to install; the others come with the ingress feature."""
    first, fleet, batch, second, third = examine().amiss("kinds")
    assert (first.state, fleet.state, batch.state) == (State.FAIL, State.WARN, State.WARN)
    assert "the definition of Fleet is not installed" in fleet.what
    assert "the definition of GPUBatch is not installed" in batch.what
    assert "gpuhunter crd | kubectl apply" in first.mend
    assert first.mend.startswith("gcloud container clusters get-credentials hunt-config --location=us-west2")
    assert "multiclusteringresses" in second.what
    assert "backendconfigs" in third.what
    assert "ingress enable" in third.mend


def test_the_kinds_of_a_gateway_are_looked_for_where_one_is_asked_for(project, examine, with_ingress):
    """In the config cluster and in the members, each with the command that installs them."""
    asking = [with_ingress(kind=GATEWAY)]
    found = {finding.what: finding for finding in examine(asking).amiss("kinds")}
    gateways = found["gateways, httproutes of gateway.networking.k8s.io/v1 are not installed"]
    assert gateways.mend.endswith("--gateway-api=standard")
    exports = found["serviceexports of net.gke.io/v1 are not installed"]
    assert "multi-cluster-services enable" in exports.mend
    for cluster, file in ((project.config, "crds_gateway"), *((each, "crds_services") for each in project.members)):
        project.install_kinds(cluster, file)
    assert examine(asking).amiss("kinds") == []


def test_a_definition_of_another_version_is_told(project, examine):
    """A field that the stored definition lacks would be dropped without a word."""
    admin = project.admin(project.config)
    name = custom_resource_definition()["metadata"]["name"]
    stored = admin.get(CUSTOM_RESOURCE_DEFINITIONS, name)
    del stored["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["paused"]
    admin.replace(CUSTOM_RESOURCE_DEFINITIONS, stored)
    assert "another version's" in examine().the("kinds", State.FAIL).what


def test_rights_that_lack_are_named(project, examine):
    """Verb and resource, in each cluster, with the command that binds them to this very account."""
    project.restrict(granted=False)
    found = examine().amiss("rbac")
    assert [finding.state for finding in found] == [State.FAIL] * 3
    by_cluster = {finding.subject.rpartition("/")[2]: finding for finding in found}
    config, member = by_cluster["hunt-config"], by_cluster[project.members[0].name]
    assert "update gpuservices/status.gpuhunter.dev" in config.what
    assert "delete deployments.apps" in member.what
    assert "list pods" in member.what
    assert "runner rights member --service-account=operator@gpu-hunter-local" in member.mend


@pytest.mark.parametrize(
    ("groups", "state"),
    [
        pytest.param({"autoscaling"}, State.WARN, id="autoscalers-alone"),
        pytest.param({"autoscaling", "apps"}, State.FAIL, id="more-than-those"),
        pytest.param({""}, State.FAIL, id="pods"),
    ],
)
def test_only_rights_that_a_pass_can_do_without_are_no_failure(groups, state):
    """Members with the rights of a version before `spec.autoscaling` work as they did."""
    assert clusters.what_breaks(groups)[0] is state


def test_the_rights_of_the_project_are_enough(project, examine):
    """Bound as they stand in `regional_deploy/rbac`, nothing lacks but the right to read the definitions."""
    project.restrict(granted=True)
    findings = examine()
    assert findings.amiss("rbac") == []
    assert ["cannot be read" in each.what for each in findings.amiss("kinds")] == [True, True, True]
    assert [finding for finding in findings if finding.state is State.FAIL] == []


def fleet_of(project, **spec):
    return {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "Fleet",
        "metadata": {"name": "default"},
        "spec": {"project": project.name, "configCluster": "us-west2/hunt-config", **spec},
    }


def test_clusters_that_the_fleet_leaves_out_are_told_with_the_reason(project, examine):
    """By the labels of the Fleet in the config cluster; with no member left there is something to mend."""
    project.admin(project.config).apply(fleet_of(project, members={"labels": {"team": "art"}}))
    found = examine().amiss("fleet")
    assert [each.state for each in found] == [State.WARN] * len(project.members) + [State.FAIL]
    assert found[0].what == "does not belong: the Fleet wants the label team=art, and it lacks team"


def test_a_fleet_that_cannot_be_used_is_told(project, examine):
    """What is wrong in it, and the command that stores a better one."""
    project.admin(project.config).apply(fleet_of(project, members={"name": "no-region"}))
    found = examine().the("fleet", State.FAIL)
    assert 'spec.members.name: "no-region" must contain {region} once' in found.what
    assert "apply -f FLEET.yaml" in found.mend
