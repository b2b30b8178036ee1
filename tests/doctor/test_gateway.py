"""What a multi-cluster Gateway needs of the project: its own APIs and the fleet's service discovery."""

import pytest

from controlplane.doctor.finding import State
from controlplane.model.service import IngressKind

pytestmark = pytest.mark.usefixtures("reviews_granted")
PROJECT = "/v1/projects/gpu-hunter-local"
DISCOVERY = "multiclusterservicediscovery"


@pytest.fixture
def asking(with_ingress):
    """Give a service that asks for a Gateway."""
    return [with_ingress(kind=IngressKind.MULTI_CLUSTER_GATEWAY)]


@pytest.mark.parametrize("api", [DISCOVERY, "trafficdirector"])
def test_an_api_of_the_gateways_own_is_named_with_the_command(project, examine, asking, service, api):
    """Only where a service asks for a Gateway: Multi Cluster Ingress does without."""
    project.post(f"{PROJECT}/services/{api}.googleapis.com:disable")
    found = examine(asking).the("apis", State.FAIL)
    assert found.subject == f"{api}.googleapis.com"
    assert found.mend == f"gcloud services enable {api}.googleapis.com --project=gpu-hunter-local"
    assert examine([service]).amiss("apis") == []


def test_service_discovery_that_is_not_enabled_is_told(project, examine, asking, service):
    """No export of a member would be seen."""
    project.post(f"{PROJECT}/locations/global/features/{DISCOVERY}", method="DELETE")
    found = examine(asking).the("feature", State.FAIL)
    assert found.subject == DISCOVERY
    assert found.mend == "gcloud container fleet multi-cluster-services enable --project=gpu-hunter-local"
    assert examine([service]).amiss("feature") == []


def test_where_all_of_it_is_enabled_that_is_said(project, examine, asking):
    """Both features are well."""
    findings = examine(asking)
    assert findings.amiss("apis") == findings.amiss("feature") == []
    assert DISCOVERY in {finding.subject for finding in findings if finding.check == "feature"}


def test_a_feature_that_cannot_be_read_is_only_worth_knowing(project, examine, asking):
    """The passes do not need it read."""
    project.fail("gcp", "503", path=f"features/{DISCOVERY}")
    assert examine(asking).the("feature", State.WARN).subject == DISCOVERY
