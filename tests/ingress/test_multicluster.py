"""How regions are wired into one address with Multi Cluster Ingress."""

import importlib.resources
from dataclasses import replace

import pytest
import yaml

from controlplane.localcloud.apiserver.schema import types_from_crd, validate
from controlplane.model import naming
from controlplane.model.offering import Accelerator
from controlplane.model.service import Ingress, PodTemplate, ServiceSpec
from controlplane.model.template import ingress_spec_hash
from ingress import MultiClusterIngressWiring
from ingress.multicluster import BACKEND_CONFIG, FRONTEND_CONFIG, MULTI_CLUSTER_INGRESS, MULTI_CLUSTER_SERVICE

SPEC = ServiceSpec(
    name="web",
    namespace="sd",
    uid="u",
    generation=1,
    replicas=1,
    accelerators=(Accelerator("nvidia-l4"),),
    pod=PodTemplate(image="x:1", port=7860),
    ingress=Ingress(health_path="/readyz", timeout_seconds=600, draining_seconds=120, check_interval_seconds=5),
)
LINKS = ["us-central1/gpu-1", "europe-west4/gpu-2"]
wiring = MultiClusterIngressWiring()


def manifests(spec=SPEC, links=LINKS):
    return {m["kind"]: m for m in wiring.manifests(spec, links, fence=4)}


def state(spec=SPEC, **objects):
    kinds = {MULTI_CLUSTER_INGRESS: "MultiClusterIngress", MULTI_CLUSTER_SERVICE: "MultiClusterService"}
    return wiring.state(spec, {kind: [objects[name]] if name in objects else [] for kind, name in kinds.items()})


def test_the_list_of_clusters_is_whole_sorted_and_never_empty():
    """Every write carries all clusters once; writing none is refused."""
    service = manifests(links=[*LINKS, LINKS[0]])["MultiClusterService"]
    assert service["spec"]["clusters"] == [{"link": "europe-west4/gpu-2"}, {"link": "us-central1/gpu-1"}]
    with pytest.raises(ValueError, match="no cluster"):
        wiring.manifests(SPEC, [], fence=1)


def test_ports_lead_from_the_address_to_the_app():
    """The address's port 80 is the service's port 80, which leads to the container's."""
    made = manifests()
    assert made["MultiClusterIngress"]["spec"]["template"]["spec"]["backend"] == {
        "serviceName": "web",
        "servicePort": 80,
    }
    (port,) = made["MultiClusterService"]["spec"]["template"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, 7860)


def test_backend_settings_reach_the_load_balancer():
    """Health check, time-out and draining are set, since the defaults cut renders and drain nothing."""
    made = manifests()
    body = made["BackendConfig"]["spec"]
    assert (
        made["MultiClusterService"]["metadata"]["annotations"]["cloud.google.com/backend-config"]
        == '{"default": "web"}'
    )
    assert (body["timeoutSec"], body["connectionDraining"]) == (600, {"drainingTimeoutSec": 120})
    check = body["healthCheck"]
    assert (check["requestPath"], check["port"], check["checkIntervalSec"]) == ("/readyz", 7860, 5)
    assert check["timeoutSec"] <= check["checkIntervalSec"]


def test_static_address_and_host():
    """A reserved address is annotated; a host becomes a rule beside the default backend."""
    spec = replace(SPEC, ingress=replace(SPEC.ingress, static_address="203.0.113.7", host="sd.example.com"))
    ingress = manifests(spec)["MultiClusterIngress"]
    assert ingress["metadata"]["annotations"]["networking.gke.io/static-ip"] == "203.0.113.7"
    assert ingress["spec"]["template"]["spec"]["rules"][0]["host"] == "sd.example.com"
    assert "networking.gke.io/static-ip" not in manifests()["MultiClusterIngress"]["metadata"]["annotations"]


def test_objects_fit_their_definitions():
    """The rendered objects are valid under the custom resource definitions of the products."""
    text = importlib.resources.files("controlplane.localcloud.loadbalancer").joinpath("crds.yaml").read_text()
    types = {t.kind: t for crd in yaml.safe_load_all(text) for t in types_from_crd(crd)}
    for kind, manifest in manifests().items():
        assert validate(types[kind], manifest) == []


def test_what_was_written_is_read_back():
    """Clusters, hash and version come from the objects, the address and the backend services from the status."""
    made = manifests()
    made["MultiClusterService"]["metadata"]["resourceVersion"] = "9"
    made["MultiClusterIngress"]["status"] = {
        "VIP": "203.0.113.7",
        "CloudResources": {"BackendServices": ["mci-abc-80-web"]},
    }
    found = state(**made)
    assert found.clusters == tuple(sorted(LINKS))
    assert (found.address, found.backend_services) == ("203.0.113.7", ("mci-abc-80-web",))
    assert (found.spec_hash, found.resource_version, found.foreign) == (ingress_spec_hash(SPEC), "9", ())
    assert wiring.backend_services({MULTI_CLUSTER_INGRESS: [made["MultiClusterIngress"]]}) == ["mci-abc-80-web"]


def test_status_in_the_other_spelling():
    """Field names with small letters are read as well."""
    made = manifests()
    made["MultiClusterIngress"]["status"] = {"vip": "203.0.113.7", "cloudResources": {"backendServices": ["b"]}}
    assert state(**made).backend_services == ("b",)


def test_nothing_there_is_none():
    """Without objects there is no list, which is another thing than an empty one."""
    found = state()
    assert (found.clusters, found.address, found.spec_hash) == (None, None, "")


def test_half_of_the_objects_has_no_hash():
    """When one object is missing or differs, the hash does not match, so that all are written again."""
    made = manifests()
    assert state(MultiClusterService=made["MultiClusterService"]).spec_hash == ""
    made["MultiClusterIngress"]["metadata"]["annotations"][naming.ANNOTATION_SPEC_HASH] = "old"
    assert state(**made).spec_hash == ""


@pytest.mark.parametrize("garbage", [None, [], "x", 3, {"spec": None}, {"metadata": {"annotations": 1}}], ids=repr)
def test_garbage_is_read_without_falling_over(garbage):
    """Objects that others wrote may have any shape."""
    base = {"metadata": {"name": "web", "namespace": "sd"}, "spec": {"clusters": garbage}, "status": garbage}
    found = state(MultiClusterService=base, MultiClusterIngress=base)
    assert found.foreign
    assert found.address is None


def test_foreign_objects_are_named():
    """Objects of our name without our labels are told apart (S7)."""
    made = manifests()
    made["MultiClusterService"]["metadata"]["labels"] = {}
    assert state(**made).foreign == ("MultiClusterService/web",)


def test_an_object_that_is_ours_or_on_its_way_out_is_told():
    """What is there of ours is to be taken down one day, and nothing is proven by what is being deleted."""
    made = manifests()
    assert (state(**made).present, state(**made).going) == (True, False)
    made["MultiClusterIngress"]["metadata"]["deletionTimestamp"] = "2026-11-01T12:00:00Z"
    assert state(**made).going
    for manifest in made.values():
        manifest["metadata"]["labels"] = {}
    assert not state(**made).present


def test_taking_down_begins_with_the_address():
    """The address goes first; what holds the list goes last, so that whoever is stopped in between goes on."""
    assert [kind for kind, _ in wiring.release_order(SPEC)] == [
        MULTI_CLUSTER_INGRESS,
        FRONTEND_CONFIG,
        BACKEND_CONFIG,
        MULTI_CLUSTER_SERVICE,
    ]


def test_only_the_list_changes_without_a_new_hash():
    """Adding a cluster does not make the rest look changed; changing the time-out does."""
    one, two = manifests(), manifests(links=LINKS[:1])
    key = naming.ANNOTATION_SPEC_HASH
    hashes = {m["metadata"]["annotations"][key] for made in (one, two) for k, m in made.items() if k != "BackendConfig"}
    assert len(hashes) == 1
    slower = replace(SPEC, ingress=replace(SPEC.ingress, timeout_seconds=900))
    assert manifests(slower)["MultiClusterIngress"]["metadata"]["annotations"][key] not in hashes
