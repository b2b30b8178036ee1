"""The project: credentials, APIs, permissions, the ingress feature, addresses, well and amiss."""

import pytest

from controlplane.doctor.examine import CHECKS
from controlplane.doctor.finding import State
from controlplane.model.service import IngressKind

pytestmark = pytest.mark.usefixtures("reviews_granted")
FEATURE = "/v1/projects/gpu-hunter-local/locations/global/features"


def test_without_credentials_it_says_once_that_the_rest_is_not_checked(project, examine, tmp_path):
    """A key file that is not there: how to get one, and which checks it hides; none pretends to know anything."""
    findings = examine(credentials_file=tmp_path / "nothing.json")
    assert {finding.check for finding in findings} == {"egress", "credentials"}
    found = findings.the("credentials", State.FAIL)
    assert "keys create" in found.mend
    hidden = found.breaks.partition("not checked for want of credentials: ")[2]
    assert tuple(hidden.split(", ")) == CHECKS[2:]


def test_credentials_that_expired_are_told(project, examine):
    """A key that is no longer accepted fails in one line."""
    project.fail("gcp", "expired-credential", path="^/token")
    assert examine().the("credentials", State.FAIL).what


def test_another_project_is_told(project, examine):
    """Credentials of one project that ask about another: whose they are, and that nothing there can be seen."""
    findings = examine(project="other-project")
    found = findings.the("credentials", State.WARN)
    assert "gpu-hunter-local" in found.what
    assert "other-project" in found.what
    assert findings.the("permissions", State.FAIL).mend == "gcloud projects describe other-project"


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
    # Container cannot stay on without compute: both are named then.
    project.post(
        f"/v1/projects/gpu-hunter-local/services/{api}.googleapis.com:disable", {"disableDependentServices": True}
    )
    findings = examine()
    (found,) = [each for each in findings.amiss("apis") if f"{api}.googleapis.com" in each.subject]
    assert found.state is state
    assert found.mend == f"gcloud services enable {api}.googleapis.com --project=gpu-hunter-local"
    for check in others:
        assert findings.amiss(check), check
    if api == "container":
        assert findings.the("config cluster", State.FAIL).mend == found.mend


def test_where_apis_cannot_be_listed_that_is_only_worth_knowing(project, examine):
    """Service Usage itself may be off or refused: the calls themselves tell."""
    project.post("/v1/projects/gpu-hunter-local/services/serviceusage.googleapis.com:disable")
    assert "services enable serviceusage" in examine().the("apis", State.WARN).mend


def test_missing_permissions_are_named(project, examine):
    """Each by its name, with the role and the binding that grant them."""
    project.call(lambda: project.google.deny(["compute.regions.list", "container.clusters.list"]))
    findings = examine()
    found = findings.the("permissions", State.FAIL)
    assert found.what == "missing: compute.regions.list, container.clusters.list"
    assert "gcloud iam roles update gpuHunter" in found.mend
    assert "add-iam-policy-binding" in found.mend
    assert "container.clusters.list" in findings.the("fleet", State.FAIL).what


def test_where_permissions_cannot_be_asked_that_is_only_worth_knowing(project, examine):
    """Resource Manager may be out of order without anything being wrong with the hunt."""
    project.fail("gcp", "503", path="testIamPermissions")
    examine().the("permissions", State.WARN)


def test_a_feature_that_is_not_enabled_is_told(project, examine):
    """With the command that enables it for the config cluster."""
    project.post(f"{FEATURE}/multiclusteringress", method="DELETE")
    found = examine().the("feature", State.FAIL)
    assert found.mend.startswith("gcloud container fleet ingress enable --config-membership=projects/gpu-hunter-local")
    assert "memberships/hunt-config" in found.mend


def test_a_feature_with_another_config_membership_is_told(project, examine):
    """Wiring written to our config cluster would be read by nobody."""
    other = f"projects/gpu-hunter-local/locations/{project.members[0].location}/memberships/{project.members[0].name}"
    body = {"spec": {"multiclusteringress": {"configMembership": other}}}
    project.post(f"{FEATURE}/multiclusteringress?updateMask=spec", body, method="PATCH")
    found = examine().the("feature", State.FAIL)
    assert project.members[0].name in found.what
    assert found.mend.startswith("gcloud container fleet ingress update")


def test_a_feature_that_is_not_well_is_told(project, examine):
    """A member that the product cannot reach is worth knowing."""
    project.call(lambda: project.stock.region_down(project.members[0].location))
    assert project.members[0].name in examine().the("feature", State.WARN).what


def reserve(project, where):
    project.post(f"/compute/v1/projects/gpu-hunter-local/{where}/addresses", {"name": "ours"})
    path = "/compute/v1/projects/gpu-hunter-local/aggregated/addresses"
    scopes = project.post(path, method="GET")["items"]
    return next(each["address"] for scope in scopes.values() for each in scope.get("addresses", ()))


def test_an_address_that_is_reserved_and_global_is_well(project, examine, with_ingress):
    """Its name is told."""
    address = reserve(project, "global")
    findings = examine([with_ingress(static_address=address)])
    assert findings.amiss("address") == []
    assert any(f"{address} (ours)" in finding.what for finding in findings)


def test_an_address_of_a_region_is_told(project, examine, with_ingress):
    """The global load balancer cannot take it."""
    address = reserve(project, "regions/us-central1")
    found = examine([with_ingress(static_address=address)]).the("address", State.FAIL)
    assert "us-central1" in found.what
    assert "--global" in found.mend


def test_an_address_that_is_not_reserved_is_told(project, examine, with_ingress):
    """It belongs to somebody else, or to nobody."""
    found = examine([with_ingress(static_address="203.0.113.200")]).the("address", State.FAIL)
    assert found.mend.startswith("gcloud compute addresses create")


GATEWAY = IngressKind.MULTI_CLUSTER_GATEWAY


def test_a_gateway_takes_its_address_by_name(project, examine, with_ingress):
    """The name is looked for, whatever address the other kind has; one that is not there is reserved under it."""
    address = reserve(project, "global")
    named = with_ingress(kind=GATEWAY, static_address_name="ours", static_address="203.0.113.200")
    findings = examine([named])
    assert findings.amiss("address") == []
    assert any(f"{address} (ours)" in finding.what for finding in findings)
    found = examine([with_ingress(kind=GATEWAY, static_address_name="theirs")]).the("address", State.FAIL)
    assert found.mend.startswith("gcloud compute addresses create theirs --global")


def test_addresses_that_cannot_be_listed_are_worth_knowing(project, examine, with_ingress):
    """A permission that only this check needs does not stand in the way of the hunt."""
    project.call(lambda: project.google.deny(["compute.addresses.list"]))
    examine([with_ingress(static_address="203.0.113.1")]).the("address", State.WARN)
