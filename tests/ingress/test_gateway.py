"""How regions are wired into one address with a multi-cluster Gateway."""

import importlib.resources
from dataclasses import replace

import pytest
import yaml

from controlplane.localcloud.apiserver.schema import types_from_crd, validate
from controlplane.model import naming
from controlplane.model.offering import Accelerator
from controlplane.model.service import Ingress, IngressKind, PodTemplate, ServiceSpec
from controlplane.model.template import ingress_spec_hash
from ingress import WIRINGS, MultiClusterGatewayWiring
from ingress.gateway import BACKEND_POLICY, GATEWAY, GATEWAY_POLICY, HEALTH_CHECK_POLICY, HTTP_ROUTE, RECORD

SPEC = ServiceSpec(
    name="web",
    namespace="sd",
    uid="u",
    generation=1,
    replicas=1,
    accelerators=(Accelerator("nvidia-l4"),),
    pod=PodTemplate(image="x:1", port=7860),
    ingress=Ingress(
        kind=IngressKind.MULTI_CLUSTER_GATEWAY,
        health_path="/readyz",
        timeout_seconds=600,
        draining_seconds=120,
        check_interval_seconds=5,
    ),
)
CENTRAL, EUROPE = "us-central1/gpu-1", "europe-west4/gpu-2"
wiring = MultiClusterGatewayWiring()


def manifests(spec=SPEC, links=(CENTRAL, EUROPE)):
    return {m["kind"]: m for m in wiring.manifests(spec, links, fence=4)}


def state(*, members=None, spec=SPEC, **objects):
    found = {kind: [objects[kind.name]] if kind.name in objects else [] for kind in (GATEWAY, HTTP_ROUTE)}
    return wiring.state(spec, found, members)


def export(**metadata):
    made = wiring.member_manifest(SPEC)
    return {**made, "metadata": {**made["metadata"], **metadata}}


def test_the_record_is_whole_sorted_and_never_empty():
    """Every write carries all clusters once; writing none is refused (S1)."""
    route = manifests(links=[EUROPE, CENTRAL, EUROPE])["HTTPRoute"]
    assert route["metadata"]["annotations"][RECORD] == f"{EUROPE},{CENTRAL}"
    with pytest.raises(ValueError, match="no cluster"):
        wiring.manifests(SPEC, [], fence=1)


def test_the_address_leads_to_the_import_of_the_exported_service():
    """The route is the Gateway's, and its backend is the ServiceImport that has the ServiceExport's name."""
    made = manifests()
    assert made["Gateway"]["spec"]["gatewayClassName"] == "gke-l7-global-external-managed-mc"
    assert made["HTTPRoute"]["spec"]["parentRefs"][0]["name"] == made["Gateway"]["metadata"]["name"]
    (backend,) = made["HTTPRoute"]["spec"]["rules"][0]["backendRefs"]
    assert (backend["kind"], backend["name"], backend["port"]) == ("ServiceImport", export()["metadata"]["name"], 80)
    for kind in ("GCPBackendPolicy", "HealthCheckPolicy"):
        assert made[kind]["spec"]["targetRef"] == {"group": "net.gke.io", "kind": "ServiceImport", "name": "web"}


def test_backend_settings_reach_the_load_balancer():
    """Health check, time-out and draining are set, since the defaults cut renders and drain nothing."""
    made = manifests()
    assert made["GCPBackendPolicy"]["spec"]["default"] == {
        "timeoutSec": 600,
        "connectionDraining": {"drainingTimeoutSec": 120},
    }
    check = made["HealthCheckPolicy"]["spec"]["default"]
    assert check["config"]["httpHealthCheck"] == {
        "portSpecification": "USE_FIXED_PORT",
        "port": 7860,
        "requestPath": "/readyz",
    }
    assert (check["checkIntervalSec"], check["timeoutSec"]) == (5, 5)


def test_named_address_and_host():
    """A reserved address is taken by its name, and a host becomes the route's; neither is written where not asked."""
    spec = replace(SPEC, ingress=replace(SPEC.ingress, static_address_name="sd-ip", host="sd.example.com"))
    made = manifests(spec)
    assert made["Gateway"]["spec"]["addresses"] == [{"type": "NamedAddress", "value": "sd-ip"}]
    assert made["HTTPRoute"]["spec"]["hostnames"] == ["sd.example.com"]
    assert "addresses" not in manifests()["Gateway"]["spec"]
    assert "hostnames" not in manifests()["HTTPRoute"]["spec"]


def test_objects_fit_their_definitions():
    """The rendered objects are valid under the custom resource definitions of the products, and carry our labels."""
    folder = importlib.resources.files("controlplane.localcloud.loadbalancer")
    files = (folder.joinpath(name).read_text() for name in ("crds_gateway.yaml", "crds_services.yaml"))
    types = {t.kind: t for text in files for crd in yaml.safe_load_all(text) for t in types_from_crd(crd)}
    spec = replace(SPEC, ingress=replace(SPEC.ingress, static_address_name="sd-ip", host="sd.example.com"))
    for kind, manifest in {**manifests(spec), "ServiceExport": export()}.items():
        assert validate(types[kind], manifest) == []
        assert naming.is_ours(manifest, "web")


def test_what_was_written_is_read_back():
    """Clusters, hash and version come from the objects, address and backend services from what GKE writes there."""
    made = manifests()
    made["HTTPRoute"]["metadata"]["resourceVersion"] = "9"
    path = "/projects/1/global/backendServices/"
    made["Gateway"]["metadata"]["annotations"]["networking.gke.io/backend-services"] = (
        f"{path}gkemcg1-sd-gw-serve404-80-abc, {path}gkemcg1-sd-web-80-def"
    )
    made["Gateway"]["status"] = {"addresses": [{"type": "IPAddress", "value": "203.0.113.7"}]}
    found = state(members={CENTRAL: [export()], EUROPE: [export()]}, **made)
    assert found.clusters == (EUROPE, CENTRAL)
    assert (found.address, found.backend_services) == ("203.0.113.7", ("gkemcg1-sd-web-80-def",))
    assert (found.spec_hash, found.resource_version, found.foreign) == (ingress_spec_hash(SPEC), "9", ())
    assert (found.present, found.going) == (True, False)
    assert wiring.backend_services({GATEWAY: [made["Gateway"]]}) == ["gkemcg1-sd-web-80-def"]


@pytest.mark.parametrize(
    ("members", "clusters", "whole"),
    [
        pytest.param({CENTRAL: "export", EUROPE: "export"}, (EUROPE, CENTRAL), True, id="as-recorded"),
        pytest.param({CENTRAL: "export", EUROPE: None}, (EUROPE, CENTRAL), True, id="one-is-dark"),
        pytest.param({CENTRAL: None, EUROPE: None}, (EUROPE, CENTRAL), True, id="all-are-dark"),
        pytest.param({CENTRAL: "export", EUROPE: "nothing"}, (CENTRAL,), False, id="deleted-by-somebody"),
        pytest.param({CENTRAL: "export", EUROPE: "going"}, (CENTRAL,), False, id="being-deleted"),
        pytest.param(
            {CENTRAL: "export", EUROPE: "export", "a/b": "export"}, ("a/b", EUROPE, CENTRAL), False, id="one-too-many"
        ),
    ],
)
def test_a_member_is_judged_by_what_it_holds_and_a_dark_one_by_the_record(members, clusters, whole):
    """Presence of the ServiceExport is what counts; where it differs from the record, all is written again."""
    there = {"export": [export()], "nothing": [], "going": [export(deletionTimestamp="now")], None: None}
    found = state(members={link: there[what] for link, what in members.items()}, **manifests())
    assert found.clusters == tuple(sorted(clusters))
    assert bool(found.spec_hash) is whole


def test_nothing_there_is_none():
    """Without objects there is no list, which is another thing than an empty one."""
    found = state()
    assert (found.clusters, found.address, found.spec_hash, found.present) == (None, None, "", False)


@pytest.mark.parametrize("garbage", [None, [], "x", 3, {"spec": None}, {"metadata": {"annotations": 1}}], ids=repr)
def test_garbage_is_read_without_falling_over(garbage):
    """Objects that others wrote may have any shape."""
    base = {"metadata": {"name": "web", "namespace": "sd", "annotations": garbage}, "status": {"addresses": garbage}}
    found = state(Gateway=base, HTTPRoute=base, members={CENTRAL: [base], EUROPE: [{"metadata": garbage}]})
    assert found.foreign
    assert found.address is None
    assert not found.present


def test_half_of_the_objects_has_no_hash():
    """A Gateway with other settings than its route is written again."""
    made = manifests()
    made["Gateway"]["metadata"]["annotations"][naming.ANNOTATION_SPEC_HASH] = "another"
    assert state(members={CENTRAL: [export()], EUROPE: [export()]}, **made).spec_hash == ""


def test_foreign_objects_are_named():
    """Objects of our name without our labels are told apart, in members too (S7)."""
    made = manifests()
    made["HTTPRoute"]["metadata"]["labels"] = {}
    found = state(members={CENTRAL: [export(labels={})], EUROPE: []}, **made)
    assert found.foreign == ("HTTPRoute/web", f"ServiceExport/web in {CENTRAL}")


def test_an_object_that_is_being_deleted_is_told():
    """Nothing is proven by a wiring that is on its way out."""
    made = manifests()
    made["Gateway"]["metadata"]["deletionTimestamp"] = "2026-11-01T12:00:00Z"
    assert state(**made).going


def test_taking_down_begins_with_the_address():
    """The address goes first; what holds the record goes last, so that whoever is stopped in between goes on."""
    order = wiring.release_order(SPEC)
    assert order[0] == (GATEWAY, "web")
    assert order[-1] == (HTTP_ROUTE, "web")
    assert {kind for kind, _ in order[1:-1]} == {GATEWAY_POLICY, BACKEND_POLICY, HEALTH_CHECK_POLICY, HTTP_ROUTE}


def test_each_kind_has_settings_that_the_other_does_not_see():
    """Asking for the other kind, or naming its reserved address, rewrites nothing of this one."""
    ours, theirs = IngressKind.MULTI_CLUSTER_GATEWAY, IngressKind.MULTI_CLUSTER_INGRESS
    other = replace(SPEC, ingress=replace(SPEC.ingress, kind=theirs, static_address="203.0.113.7"))
    assert ingress_spec_hash(other, ours) == ingress_spec_hash(SPEC)
    named = replace(SPEC, ingress=replace(SPEC.ingress, static_address_name="sd-ip"))
    assert ingress_spec_hash(named) != ingress_spec_hash(SPEC)
    assert ingress_spec_hash(named, theirs) == ingress_spec_hash(SPEC, theirs)
    for kind, each in WIRINGS.items():
        (listing,) = (m for m in each.manifests(SPEC, [CENTRAL], fence=1) if m["kind"] == each.listing_kind().name)
        assert listing["metadata"]["annotations"][naming.ANNOTATION_SPEC_HASH] == ingress_spec_hash(SPEC, kind)
