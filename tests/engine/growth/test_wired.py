"""Which addresses lead to a cluster."""

from datetime import UTC, datetime

import pytest

from controlplane.engine.growth.wired import wired_at
from controlplane.engine.wirings import WiringView
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.offering import ClusterRef
from ingress.wiring import Kind

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
REF, OTHER = ClusterRef("us-east4", "gpu"), ClusterRef("us-west1", "gpu")
SERVICES = Kind("networking.gke.io", "v1", "multiclusterservices", "MultiClusterService")
EXPORTS = Kind("net.gke.io", "v1", "serviceexports", "ServiceExport")
WEB = {"metadata": {"namespace": "default", "name": "web"}}


def service(*refs):
    return {**WEB, "spec": {"clusters": [{"link": ref.link} for ref in refs]}}


def seen(services=(), exports=None):
    return Known(WiringView({SERVICES: services}, {EXPORTS: exports} if exports is not None else {}), NOW)


@pytest.mark.parametrize(
    ("view", "names", "only"),
    [
        pytest.param(seen(), (), (), id="nothing"),
        pytest.param(seen([service(OTHER)]), (), (), id="elsewhere"),
        pytest.param(seen([service(REF, OTHER)]), ("default/web",), (), id="here-too"),
        pytest.param(seen([service(REF)]), ("default/web",), ("default/web",), id="here-alone"),
        pytest.param(seen([{**WEB, "spec": {}}]), ("default/web",), (), id="everywhere"),
        pytest.param(seen([WEB]), ("default/web",), (), id="no-spec-at-all"),
        pytest.param(seen(exports={REF.link: [WEB], OTHER.link: [WEB]}), ("default/web",), (), id="exported-too"),
        pytest.param(seen(exports={REF.link: [WEB], OTHER.link: []}), ("default/web",), ("default/web",), id="alone"),
    ],
)
def test_what_leads_there(view, names, only):
    """By the lists as they stand, whoever wrote them; a list that is left out leads to every member."""
    fact, alone = wired_at(REF, view)
    assert (fact.value, alone) == (names, only)


@pytest.mark.parametrize(
    "view",
    [Unknown(UnknownReason.UNREACHABLE, NOW), seen(exports={REF.link: None})],
    ids=["config-cluster-dark", "member-dark"],
)
def test_what_cannot_be_seen_is_not_nothing(view):
    """Nobody knows what leads there."""
    assert isinstance(wired_at(REF, view)[0], Unknown)
