"""Each check, well and amiss: the local cloud's faults make every one of them speak, and nothing is ever written."""

import threading
import time
from dataclasses import replace

import pytest

from controlplane.api.crd import custom_resource_definition
from controlplane.doctor.examine import CHECKS
from controlplane.doctor.finding import State
from controlplane.gateways.resources import CUSTOM_RESOURCE_DEFINITIONS, GPU_SERVICES
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.service import Ingress, PodTemplate, Regions, ServiceSpec

SERVICE = ServiceSpec(
    name="web",
    namespace="default",
    uid="u",
    generation=1,
    replicas=1,
    accelerators=(Accelerator("nvidia-l4"),),
    pod=PodTemplate(image="i:1", port=80),
)
FEATURE = "/v1/projects/gpu-hunter-local/locations/global/features"


def amiss(findings, check):
    """Give what is amiss of one check."""
    assert {finding.check for finding in findings} <= set(CHECKS)
    return [finding for finding in findings if finding.check == check and finding.state is not State.OK]


def the(findings, check, state):
    """Give the only thing that is amiss of a check, and make sure of its state."""
    (found,) = amiss(findings, check)
    assert found.state is state, found
    return found


def with_ingress(**values):
    return replace(SERVICE, ingress=Ingress(**values))


def test_where_all_is_well_nothing_has_to_be_mended(project, examine):
    """Every check speaks, and the only remark is that no address was asked for."""
    findings = examine([SERVICE])
    assert [finding for finding in findings if finding.state is State.FAIL] == []
    assert {finding.check for finding in findings} == set(CHECKS) - {"dns"}
    assert [finding.check for finding in findings if finding.state is State.WARN] == ["address"]
    latencies = [f.what for f in findings if f.check == "reachable"]
    assert len(latencies) == 3
    assert all(" ms" in what for what in latencies)


def test_nothing_is_written_anywhere(project, examine):
    """All that is asked are reads, tokens, and reviews that nobody stores."""
    project.asked.clear()
    examine([SERVICE])
    examine(None)
    writes = {
        (method, path.rpartition("/")[2])
        for method, path in project.asked
        if method != "GET" and not path.endswith(("/token", "/selfsubjectaccessreviews", ":testIamPermissions"))
    }
    assert writes == set()
    assert len(project.asked) > 20


# --- credentials


def test_without_credentials_the_rest_is_not_asked(project, examine, tmp_path):
    """A key file that is not there: how to get one, and no other check pretends to know anything."""
    findings = examine([SERVICE], credentials_file=tmp_path / "nothing.json")
    assert "keys create" in the(findings, "credentials", State.FAIL).mend
    rest = [finding for finding in findings if finding.check not in ("credentials", "egress")]
    assert {finding.what for finding in rest} == {"not asked, for want of credentials"}


def test_credentials_that_expired_are_told(project, examine):
    """A key that is no longer accepted fails in one line."""
    project.fail("gcp", "expired-credential", path="^/token")
    assert the(examine([SERVICE]), "credentials", State.FAIL).what


def test_another_project_is_told(project, examine):
    """Credentials of one project that ask about another: whose they are, and that nothing there can be seen."""
    findings = examine([SERVICE], project="other-project")
    found = the(findings, "credentials", State.WARN)
    assert "gpu-hunter-local" in found.what
    assert "other-project" in found.what
    assert the(findings, "permissions", State.FAIL).mend == "gcloud projects describe other-project"


def test_a_token_endpoint_that_hangs_has_its_deadline(project, examine):
    """The examination ends, and says what gave no answer."""
    project.fail("gcp", "hang", path="^/token")
    began = time.monotonic()
    assert "no answer within" in the(examine([SERVICE], seconds=1.0), "credentials", State.FAIL).what
    assert time.monotonic() - began < 10


# --- APIs and permissions


@pytest.mark.parametrize(
    ("api", "state", "others"),
    [
        ("container", State.FAIL, ["config cluster", "fleet"]),
        ("compute", State.FAIL, ["quotas"]),
        ("gkehub", State.FAIL, ["feature"]),
        ("multiclusteringress", State.FAIL, []),
        ("run", State.WARN, []),
        ("cloudscheduler", State.WARN, []),
    ],
)
def test_an_api_that_is_not_enabled_is_named_with_the_command(project, examine, api, state, others):
    """The list of enabled APIs tells, and so does each call to it."""
    project.post(f"/v1/projects/gpu-hunter-local/services/{api}.googleapis.com:disable")
    findings = examine([SERVICE])
    found = the(findings, "apis", state)
    assert f"{api}.googleapis.com" in found.subject
    assert found.mend == f"gcloud services enable {api}.googleapis.com --project=gpu-hunter-local"
    for check in others:
        assert amiss(findings, check), check
    if api == "container":
        assert the(findings, "config cluster", State.FAIL).mend == found.mend


def test_where_apis_cannot_be_listed_that_is_only_worth_knowing(project, examine):
    """Service Usage itself may be off or refused: the calls themselves tell."""
    project.post("/v1/projects/gpu-hunter-local/services/serviceusage.googleapis.com:disable")
    assert "services enable serviceusage" in the(examine([SERVICE]), "apis", State.WARN).mend


def test_missing_permissions_are_named(project, examine):
    """Each by its name, with the role and the binding that grant them."""
    project.call(lambda: project.google.deny(["compute.regions.list", "container.clusters.list"]))
    findings = examine([SERVICE])
    found = the(findings, "permissions", State.FAIL)
    assert found.what == "missing: compute.regions.list, container.clusters.list"
    assert "gcloud iam roles update gpuHunter" in found.mend
    assert "add-iam-policy-binding" in found.mend
    assert "container.clusters.list" in the(findings, "fleet", State.FAIL).what
    assert any("cannot be told" in finding.what for finding in findings if finding.check == "quotas") or amiss(
        findings, "fleet"
    )


def test_where_permissions_cannot_be_asked_that_is_only_worth_knowing(project, examine):
    """Resource Manager may be out of order without anything being wrong with the hunt."""
    project.fail("gcp", "503", path="testIamPermissions")
    the(examine([SERVICE]), "permissions", State.WARN)


# --- the fleet


def test_a_config_cluster_that_is_not_there_is_told(project, examine):
    """With the command that makes it, in the place that was named."""
    found = the(examine([SERVICE], config_cluster="us-west2/nothing"), "config cluster", State.FAIL)
    assert found.mend.startswith("gcloud container clusters create-auto nothing --location=us-west2")


def test_a_fleet_without_members_is_told(project, examine):
    """The config cluster is no member, so there is nowhere to place anything."""
    project.host.clusters = [project.config]
    assert "--fleet-project=gpu-hunter-local" in the(examine([SERVICE]), "fleet", State.FAIL).mend


def test_a_member_that_is_not_ready_is_worth_knowing(project, examine):
    """Its status is told, and the others are members all the same."""
    first, second = project.members
    project.host.clusters = [project.config, replace(first, status="PROVISIONING"), second]
    assert "PROVISIONING" in the(examine([SERVICE]), "fleet", State.WARN).what


def test_a_listing_that_is_not_complete_is_worth_knowing(project, examine):
    """Locations that could not be asked are named."""
    place = project.members[0].location
    project.call(lambda: project.stock.region_down(place))
    assert place in the(examine([SERVICE]), "fleet", State.WARN).what


@pytest.mark.parametrize("kind", ["hang", "cut", "503", "expired-credential", "403"])
def test_a_member_that_does_not_answer_delays_no_other(project, examine, kind):
    """It alone is not reachable; the rest is looked at as ever, within the deadline of one check."""
    lost, well = project.members
    project.fail(lost.name, kind)
    began = time.monotonic()
    findings = examine([SERVICE], seconds=2.0)
    assert time.monotonic() - began < 15
    assert lost.name in the(findings, "reachable", State.FAIL).subject
    assert {f.subject.rpartition("/")[2] for f in findings if f.check == "rbac"} == {well.name, project.config.name}


def test_a_member_that_is_slow_is_worth_knowing(project, examine):
    """Its latency is told."""
    project.fail(project.members[0].name, "latency", path="^/version", seconds=1.2)
    assert "answers in 1" in the(examine([SERVICE]), "reachable", State.WARN).what


# --- the ingress feature


def test_a_feature_that_is_not_enabled_is_told(project, examine):
    """With the command that enables it for the config cluster."""
    project.post(f"{FEATURE}/multiclusteringress", method="DELETE")
    found = the(examine([SERVICE]), "feature", State.FAIL)
    assert found.mend.startswith("gcloud container fleet ingress enable --config-membership=projects/gpu-hunter-local")
    assert "memberships/hunt-config" in found.mend


def test_a_feature_with_another_config_membership_is_told(project, examine):
    """Wiring written to our config cluster would be read by nobody."""
    other = f"projects/gpu-hunter-local/locations/{project.members[0].location}/memberships/{project.members[0].name}"
    body = {"spec": {"multiclusteringress": {"configMembership": other}}}
    project.post(f"{FEATURE}/multiclusteringress?updateMask=spec", body, method="PATCH")
    found = the(examine([SERVICE]), "feature", State.FAIL)
    assert project.members[0].name in found.what
    assert found.mend.startswith("gcloud container fleet ingress update")


def test_a_feature_that_is_not_well_is_told(project, examine):
    """A member that the product cannot reach is worth knowing."""
    project.call(lambda: project.stock.region_down(project.members[0].location))
    assert project.members[0].name in the(examine([SERVICE]), "feature", State.WARN).what


# --- kinds and rights


def test_missing_kinds_are_told(bare, examine):
    """GPUService is ours to install; the others come with the ingress feature."""
    first, second, third = amiss(examine([SERVICE]), "kinds")
    assert "gpuhunter crd | kubectl apply" in first.mend
    assert first.mend.startswith("gcloud container clusters get-credentials hunt-config --location=us-west2")
    assert "multiclusteringresses" in second.what
    assert "backendconfigs" in third.what
    assert "ingress enable" in third.mend


def test_a_definition_of_another_version_is_told(project, examine):
    """A field that the stored definition lacks would be dropped without a word."""
    admin = project.admin(project.config)
    name = custom_resource_definition()["metadata"]["name"]
    stored = admin.get(CUSTOM_RESOURCE_DEFINITIONS, name)
    del stored["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["paused"]
    admin.replace(CUSTOM_RESOURCE_DEFINITIONS, stored)
    assert "another version's" in the(examine([SERVICE]), "kinds", State.FAIL).what


def test_rights_that_lack_are_named(project, examine):
    """Verb and resource, in each cluster, with the command that binds them to this very account."""
    project.restrict(granted=False)
    found = amiss(examine([SERVICE]), "rbac")
    assert [finding.state for finding in found] == [State.FAIL] * 3
    by_cluster = {finding.subject.rpartition("/")[2]: finding for finding in found}
    config, member = by_cluster["hunt-config"], by_cluster[project.members[0].name]
    assert "update gpuservices/status.gpuhunter.dev" in config.what
    assert "delete deployments.apps" in member.what
    assert "list pods" in member.what
    assert "runner rights member --service-account=gpu-hunter@gpu-hunter-local" in member.mend


def test_the_rights_of_the_project_are_enough(project, examine):
    """Bound as they stand in `regional_deploy/rbac`, nothing lacks but the right to read the definition."""
    project.restrict(granted=True)
    findings = examine([SERVICE])
    assert amiss(findings, "rbac") == []
    assert "cannot be read" in the(findings, "kinds", State.WARN).what
    assert [finding for finding in findings if finding.state is State.FAIL] == []


# --- services and quotas


def test_without_a_file_the_stored_services_are_looked_at(project, examine):
    """One that cannot be read is told, and those that can are checked."""
    admin = project.admin(project.config)
    body = {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "GPUService",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"accelerators": [{"type": "nvidia-l4"}], "pod": {"image": "i:1"}},
    }
    admin.create(GPU_SERVICES, body)
    findings = examine(None)
    assert [f.subject for f in findings if f.check == "services"] == ["default/web"]
    assert any(finding.check == "quotas" and "nvidia-l4" in finding.subject for finding in findings)


def test_without_any_service_it_says_what_was_not_checked(project, examine):
    """A new project has none yet, and that is no fault."""
    findings = examine(None)
    assert the(findings, "services", State.WARN).mend == "gpuhunter apply -f SERVICE.yaml"
    assert not [finding for finding in findings if finding.check == "quotas"]


def test_a_region_without_quota_is_worth_knowing(project, examine):
    """Others still give GPUs; the command asks for more, of the metric that lacks."""
    region = project.members[0].location
    for metric in ("NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS"):
        project.call(lambda metric=metric: project.stock.set_quota(metric, 0, region))
    found = the(examine([SERVICE]), "quotas", State.WARN)
    assert region in found.subject
    assert f"--dimensions=region={region}" in found.mend
    assert "--quota-id=NVIDIA-L4-GPUS-per-project-region" in found.mend


def test_no_quota_in_any_region_has_to_be_mended(project, examine):
    """Then nothing is feasible."""
    for member in project.members:
        for metric in ("NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS"):
            project.call(lambda m=metric, r=member.location: project.stock.set_quota(m, 0, r))
    states = [finding.state for finding in amiss(examine([SERVICE]), "quotas")]
    assert states == [State.WARN, State.WARN, State.FAIL]


def test_each_gpu_type_and_capacity_type_counts_for_itself(project, examine):
    """On-demand alone has no use for preemptible quota."""
    for member in project.members:
        project.call(lambda r=member.location: project.stock.set_quota("NVIDIA_L4_GPUS", 0, r))
    assert amiss(examine([SERVICE]), "quotas") == []
    on_demand = replace(SERVICE, capacity_types=(Capacity.ON_DEMAND,))
    assert amiss(examine([on_demand]), "quotas")[-1].state is State.FAIL


def test_no_quota_of_the_project_has_to_be_mended(project, examine):
    """GPUS_ALL_REGIONS is 0 in new projects and binds everywhere."""
    project.call(lambda: project.stock.set_quota("GPUS_ALL_REGIONS", 0, ""))
    assert "GPUS-ALL-REGIONS" in the(examine([SERVICE]), "quotas", State.FAIL).mend


def test_a_gpu_type_that_no_member_region_has_is_told(project, examine):
    """The clusters are in the wrong places for it."""
    nowhere = replace(SERVICE, accelerators=(Accelerator("nvidia-b200"),))
    assert "nvidia-b200" in the(examine([nowhere]), "quotas", State.FAIL).what


def test_regions_that_are_not_allowed_are_not_looked_at(project, examine):
    """Residency holds here too."""
    only = project.members[1].location
    found = examine([replace(SERVICE, regions=Regions(allowed=frozenset({only})))])
    assert {f.subject.partition(" ")[0] for f in found if f.check == "quotas"} == {"GPUS_ALL_REGIONS", only}


def test_quotas_that_cannot_be_read_are_worth_knowing(project, examine):
    """Unknown is not zero."""
    project.fail("gcp", "403", path="/regions")
    found = amiss(examine([SERVICE]), "quotas")
    assert found
    assert {finding.state for finding in found} == {State.WARN}
    assert all("cannot be told" in finding.what for finding in found)


# --- address and names


def reserve(project, where):
    project.post(f"/compute/v1/projects/gpu-hunter-local/{where}/addresses", {"name": "ours"})
    path = "/compute/v1/projects/gpu-hunter-local/aggregated/addresses"
    scopes = project.post(path, method="GET")["items"]
    return next(each["address"] for scope in scopes.values() for each in scope.get("addresses", ()))


def test_an_address_that_is_reserved_and_global_is_well(project, examine):
    """Its name is told."""
    address = reserve(project, "global")
    findings = examine([with_ingress(static_address=address)])
    assert amiss(findings, "address") == []
    assert any(f"{address} (ours)" in finding.what for finding in findings)


def test_an_address_of_a_region_is_told(project, examine):
    """The global load balancer cannot take it."""
    address = reserve(project, "regions/us-central1")
    found = the(examine([with_ingress(static_address=address)]), "address", State.FAIL)
    assert "us-central1" in found.what
    assert "--global" in found.mend


def test_an_address_that_is_not_reserved_is_told(project, examine):
    """It belongs to somebody else, or to nobody."""
    found = the(examine([with_ingress(static_address="203.0.113.200")]), "address", State.FAIL)
    assert found.mend.startswith("gcloud compute addresses create")


def test_addresses_that_cannot_be_listed_are_worth_knowing(project, examine):
    """A permission that only this check needs does not stand in the way of the hunt."""
    project.call(lambda: project.google.deny(["compute.addresses.list"]))
    the(examine([with_ingress(static_address="203.0.113.1")]), "address", State.WARN)


def unknown_host(_host):
    raise OSError("Name or service not known")


@pytest.mark.parametrize(
    ("resolve", "state", "expected"),
    [
        pytest.param(lambda _: ["203.0.113.1"], State.OK, "leads to 203.0.113.1", id="right"),
        pytest.param(lambda _: ["198.51.100.9"], State.FAIL, "record-sets update", id="elsewhere"),
        pytest.param(unknown_host, State.FAIL, "record-sets create", id="nowhere"),
    ],
)
def test_a_host_name_leads_to_the_address_or_the_record_is_told(project, examine, resolve, state, expected):
    """The record's name, type and value stand in the command."""
    service = with_ingress(static_address="203.0.113.1", host="sd.example.org")
    (found,) = [each for each in examine([service], resolve=resolve) if each.check == "dns"]
    assert found.state is state
    assert expected in f"{found.what} {found.mend}"
    assert state is State.OK or "--rrdatas=203.0.113.1" in found.mend


def test_a_name_server_that_hangs_has_its_deadline(project, examine):
    """Nothing else waits for it."""
    release = threading.Event()
    service = with_ingress(static_address="203.0.113.1", host="sd.example.org")
    try:
        findings = examine([service], seconds=3.0, resolve=lambda _: release.wait(60))
    finally:
        release.set()
    assert "no answer within" in the(findings, "dns", State.FAIL).what
    assert amiss(findings, "reachable") == []


# --- this machine


@pytest.mark.parametrize(
    ("seconds", "state"), [(20, State.WARN), (-20, State.WARN), (120, State.FAIL)], ids=["ahead", "behind", "far"]
)
def test_a_clock_that_is_off_is_told(project, examine, later, seconds, state):
    """By how much, and by whose clock; every server says the same."""
    later(seconds)
    found = amiss(examine([SERVICE]), "clock")
    assert {finding.state for finding in found} == {state}
    assert "Google Cloud" in {finding.subject for finding in found}
    assert {finding.subject for finding in found} >= {"us-west2/hunt-config"}


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        pytest.param({"https_proxy": "http://user:hunter2@proxy:3128"}, State.WARN, id="metadata-through-a-proxy"),
        pytest.param(
            {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "metadata.google.internal,169.254.169.254"}, None, id="spared"
        ),
        pytest.param({"REQUESTS_CA_BUNDLE": "/no/such/file"}, State.FAIL, id="bundle-missing"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_variables_that_turn_calls_elsewhere_are_told(project, examine, environ, state):
    """Without the password of a proxy."""
    findings = examine([SERVICE], environ=environ)
    found = amiss(findings, "egress")
    assert [finding.state for finding in found] == ([] if state is None else [state])
    assert "hunter2" not in str([finding.as_dict() for finding in findings])
