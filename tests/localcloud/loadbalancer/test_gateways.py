"""What Gateways, HTTPRoutes, policies and ServiceExports do to the load balancer, over virtual time."""

import pytest

from controlplane.localcloud.loadbalancer.exports import EXPORTS, IMPORTS, install_kinds
from controlplane.localcloud.loadbalancer.gateway_objects import BACKEND_POLICIES, GATEWAYS, HEALTH_POLICIES, ROUTES

CENTRAL, EUROPE = "us-central1/gpu-a", "europe-west4/gpu-b"
CLASS = "gke-l7-global-external-managed-mc"
TARGET = {"group": "net.gke.io", "kind": "ServiceImport", "name": "web"}
CONDITIONS = "conditions"


def create(api, resource, kind, api_version, name="web", spec=None):
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "sd"}}
    return api.create(resource, body | ({"spec": spec} if spec is not None else {}), "sd")


def gateway(world, name="web", cls=CLASS):
    spec = {"gatewayClassName": cls, "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]}
    create(world.config, GATEWAYS, "Gateway", "gateway.networking.k8s.io/v1", name, spec)


def route(world, name="web", hosts=None, **rule):
    backend = {"group": "net.gke.io", "kind": "ServiceImport", "name": "web", "port": 80}
    spec = {"parentRefs": [{"name": name}], "rules": [{"backendRefs": [backend], **rule}]}
    spec |= {"hostnames": hosts} if hosts else {}
    create(world.config, ROUTES, "HTTPRoute", "gateway.networking.k8s.io/v1", name, spec)


def policies(world):
    drain = {"timeoutSec": 77, "connectionDraining": {"drainingTimeoutSec": 9}}
    check = {"checkIntervalSec": 3, "timeoutSec": 2, "config": {"type": "HTTP", "httpHealthCheck": {
        "portSpecification": "USE_FIXED_PORT", "port": 7860, "requestPath": "/readyz"}}}  # fmt: skip
    for resource, kind, default in (
        (BACKEND_POLICIES, "GCPBackendPolicy", drain),
        (HEALTH_POLICIES, "HealthCheckPolicy", check),
    ):
        create(world.config, resource, kind, "networking.gke.io/v1", spec={"default": default, "targetRef": TARGET})


def service(world, link):
    spec = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 7860}]}
    create(world.members[link], "services", "Service", "v1", spec=spec)


def export(world, link):
    create(world.members[link], EXPORTS, "ServiceExport", "net.gke.io/v1")


def pods(world, link, *addresses, zone="us-central1-a"):
    """Write the EndpointSlice of the exported Service."""
    endpoints = [
        {"addresses": [a], "zone": zone, "conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": a}}
        for a in addresses
    ]
    labels = {"kubernetes.io/service-name": "web"}
    body = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {"name": "web-x", "namespace": "sd", "labels": labels},
        "ports": [{"name": "http", "port": 7860, "protocol": "TCP"}],
        "endpoints": endpoints,
    }
    world.members[link].create("endpointslices.discovery.k8s.io", body, "sd")


async def serving(world):
    for number, (link, zone) in enumerate(((CENTRAL, "us-central1-a"), (EUROPE, "europe-west4-b")), 1):
        service(world, link)
        pods(world, link, f"127.{number}.0.1", zone=zone)
        export(world, link)
    policies(world)
    gateway(world)
    route(world)
    await world.converge()


def addresses(world):
    return [address for _, _, address in world.proxy.addresses()]


def conditions(body):
    return {each["type"]: (each["status"], each["reason"]) for each in body["status"][CONDITIONS]}


def get(world, resource=GATEWAYS, name="web"):
    return world.config.get(resource, name, "sd")


def test_services_are_exported_only_while_service_discovery_is_enabled(run):
    """Switched off, what is exported leads nowhere and no ServiceImport is left; switched on again, it does."""
    discovers = [False]

    async def body(world):
        await serving(world)
        await world.clock.advance(12)
        assert world.balancer.health() == {}
        assert world.config.list(IMPORTS) == []
        discovers[0] = True
        await world.clock.advance(12)
        assert world.balancer.forwarding_rules()
        assert world.config.find(IMPORTS, "web", "sd") is None  # the config cluster is no member here
        assert world.members[EUROPE].find(IMPORTS, "web", "sd") is not None
        discovers[0] = False
        await world.clock.advance(12)
        assert world.members[EUROPE].find(IMPORTS, "web", "sd") is None

    run(body, discovers=lambda: discovers[0])


def test_a_gateway_answers_once_it_has_converged(run):
    """Address, conditions, annotations and parents are told, and the Pods of all exporting clusters are behind it."""

    async def body(world):
        await serving(world)
        [(name, port)] = world.proxy.ports().items()
        assert name.startswith("gkemcg1-sd-web-")
        made = get(world)
        assert made["status"]["addresses"] == [{"type": "IPAddress", "value": f"127.0.0.1:{port}"}]
        assert conditions(made) == {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed")}
        [backend] = world.balancer.health().values()
        told = made["metadata"]["annotations"]["networking.gke.io/backend-services"]
        assert told == f"/projects/local/global/backendServices/{backend.name}"
        assert backend.name.startswith("gkemcg1-sd-web-80-")
        assert {group.cluster for group in backend.groups if group.endpoints} == {CENTRAL, EUROPE}
        [parent] = get(world, ROUTES)["status"]["parents"]
        assert {each["type"]: each["status"] for each in parent[CONDITIONS]} == {
            "Accepted": "True", "ResolvedRefs": "True",
        }  # fmt: skip
        assert sorted(addresses(world)) == ["127.1.0.1", "127.2.0.1"]
        version = made["metadata"]["resourceVersion"]
        await world.converge()
        assert get(world)["metadata"]["resourceVersion"] == version, "what has not changed is not written again"

    run(body)


def test_policies_reach_the_backend_service(run):
    """Time-out, draining and health check are the policies'."""

    async def body(world):
        await serving(world)
        [backend] = world.balancer.health().values()
        assert (backend.timeout_seconds, backend.draining_seconds) == (77, 9)
        assert (backend.check_path, backend.check_interval_seconds) == ("/readyz", 3)
        assert backend.scheme == "EXTERNAL_MANAGED"

    run(body)


def test_a_cluster_is_in_while_its_export_is_there(run):
    """Deleting a ServiceExport takes the cluster out after the convergence delay, and adding it puts it back."""

    async def body(world):
        await serving(world)
        world.members[CENTRAL].delete(EXPORTS, "web", "sd")
        await world.settle()
        assert len(addresses(world)) == 2, "an edit takes its time"
        await world.converge()
        assert addresses(world) == ["127.2.0.1"]
        export(world, CENTRAL)
        await world.converge()
        assert sorted(addresses(world)) == ["127.1.0.1", "127.2.0.1"]

    run(body)


def test_imports_follow_exports_in_every_cluster(run):
    """A ServiceImport names ports and clusters, changes with them, and goes with the last export."""

    async def body(world):
        await serving(world)
        for api in world.members.values():
            made = api.get(IMPORTS, "web", "sd")
            assert made["spec"] == {"type": "ClusterSetIP", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
            assert [each["cluster"] for each in made["status"]["clusters"]] == [EUROPE, CENTRAL]
        for link, left in ((CENTRAL, [EUROPE]), (EUROPE, None)):
            world.members[link].delete(EXPORTS, "web", "sd")
            await world.converge()
            for api in world.members.values():
                found = api.find(IMPORTS, "web", "sd")
                assert (found and [each["cluster"] for each in found["status"]["clusters"]]) == left

    run(body)


def test_an_export_without_its_service_is_told(run):
    """The condition on the ServiceExport says so, until the Service is there."""

    async def body(world):
        export(world, CENTRAL)
        await world.settle()
        [condition] = world.members[CENTRAL].get(EXPORTS, "web", "sd")["status"][CONDITIONS]
        assert (condition["status"], condition["reason"]) == ("False", "ServiceNotFound")
        service(world, CENTRAL)
        await world.settle()
        [condition] = world.members[CENTRAL].get(EXPORTS, "web", "sd")["status"][CONDITIONS]
        assert condition["status"] == "True"

    run(body)


def test_a_cluster_that_does_not_answer_keeps_what_it_exports(run):
    """Its last Pods stay programmed, for the health checks to judge."""

    async def body(world):
        await serving(world)
        world.down.add(CENTRAL)
        world.members[CENTRAL].delete(EXPORTS, "web", "sd")
        await world.converge()
        assert len(addresses(world)) == 2
        world.down.clear()
        await world.converge()
        assert addresses(world) == ["127.2.0.1"]

    run(body)


def test_a_gateway_is_held_until_nothing_of_it_is_programmed(run):
    """Deleting it takes the address down after the convergence delay; then it is gone."""

    async def body(world):
        await serving(world)
        world.config.delete(GATEWAYS, "web", "sd")
        await world.settle()
        assert "deletionTimestamp" in get(world)["metadata"]
        assert world.proxy.ports()
        await world.converge()
        assert world.config.find(GATEWAYS, "web", "sd") is None
        assert world.proxy.ports() == {}

    run(body)


@pytest.mark.parametrize(
    ("rule", "condition", "text"),
    [
        pytest.param({"backendRefs": [{"name": "web", "port": 80}]}, "ResolvedRefs", "ServiceImports", id="a-service"),
        pytest.param(
            {"backendRefs": [{**TARGET, "name": "no", "port": 80}]}, "ResolvedRefs", '"sd/no" not found', id="no-import"
        ),
        pytest.param({"backendRefs": [{**TARGET, "port": 99}]}, "ResolvedRefs", "has no port 99", id="no-port"),
        pytest.param({"backendRefs": [{**TARGET, "port": 80}] * 2}, "Accepted", "one backendRef", id="two-backends"),
        pytest.param({"filters": [{"type": "URLRewrite"}]}, "Accepted", "no filters", id="filter"),
        pytest.param({"matches": [{"method": "GET"}]}, "Accepted", "only matches by path", id="method"),
    ],
)
def test_what_cannot_be_programmed_is_said_on_the_route(run, rule, condition, text):
    """The route is refused with a reason, the Gateway gets no address, and says that it waits."""

    async def body(world):
        service(world, CENTRAL)
        export(world, CENTRAL)
        gateway(world)
        route(world, **rule)
        await world.converge()
        [parent] = get(world, ROUTES)["status"]["parents"]
        [found] = [each for each in parent[CONDITIONS] if each["status"] == "False"]
        assert found["type"] == condition
        assert text in found["message"]
        assert conditions(get(world))["Programmed"] == ("False", "Pending")
        assert world.proxy.ports() == {}

    run(body)


def test_other_gateway_classes_are_not_ours(run):
    """A Gateway of a single-cluster class is left to whoever it belongs to."""

    async def body(world):
        service(world, CENTRAL)
        export(world, CENTRAL)
        gateway(world, cls="gke-l7-global-external-managed")
        route(world)
        await world.converge()
        assert "status" not in get(world)
        assert "finalizers" not in get(world)["metadata"]
        assert world.proxy.ports() == {}

    run(body)


def test_hosts_and_paths_become_the_route_table(run):
    """A prefix matches itself and what lies below it, an exact path itself alone, and only for the route's hosts."""

    async def body(world):
        service(world, CENTRAL)
        export(world, CENTRAL)
        gateway(world)
        exact, prefix = {"type": "Exact", "value": "/one"}, {"type": "PathPrefix", "value": "/many"}
        route(world, hosts=["sd.example.com"], matches=[{"path": exact}, {"path": prefix}])
        await world.converge()
        [table] = [d["resources"][0] for name, d in world.proxy.documents.items() if name.startswith("rds-")]
        anyone, named = table["virtual_hosts"]
        assert (anyone["domains"], anyone["routes"]) == (["*"], [])
        assert named["domains"][0] == "sd.example.com"
        matched = {each["match"].get("path") or each["match"]["prefix"] for each in named["routes"]}
        assert matched == {"/one", "/many", "/many/"}

    run(body)


def test_both_kinds_of_ingress_stand_side_by_side(run):
    """A MultiClusterIngress and a Gateway of one name have an address and a backend service each."""

    async def body(world):
        await serving(world)
        world.mcs()
        world.mci()
        await world.settle()
        world.pods(CENTRAL, "127.1.0.1")
        await world.converge()
        assert len(set(world.proxy.ports().values())) == len(world.proxy.ports()) == 2
        names = sorted(name.split("-")[0] for name in world.balancer.health())
        assert names == ["gkemcg1", "mci"]
        world.config.delete(GATEWAYS, "web", "sd")
        await world.converge()
        assert list(world.proxy.ports()) == ["sd-web"]
        await world.converge()
        assert addresses(world) == ["127.1.0.1"]

    run(body)


def test_what_comes_back_at_once_is_one_backend_service(run):
    """A Gateway that is made anew while its backend service still lingers has it once, not twice."""

    async def body(world):
        world.balancer.convergence_seconds = 0.2
        await serving(world)
        world.config.delete(GATEWAYS, "web", "sd")
        await world.settle()
        await world.clock.advance(0.5)
        await world.settle()
        assert world.proxy.ports() == {}
        gateway(world)
        await world.settle()
        await world.clock.advance(0.5)
        await world.settle()
        assert len(world.proxy.ports()) == 1
        assert len(world.proxy.documents["cds.json"]["resources"]) == 1
        await world.converge()
        assert sorted(addresses(world)) == ["127.1.0.1", "127.2.0.1"]

    run(body)


def test_what_was_programmed_survives_a_restart(run):
    """A new controller goes on with address, exports and Pods as they were."""

    async def body(world):
        await serving(world)
        before = (world.balancer.forwarding_rules(), world.balancer.health())
        again = world.restart()
        assert (again.forwarding_rules(), again.health()) == before

    run(body)


def test_kinds_are_brought_up_to_date(run):
    """An older definition in a cluster is replaced, and an equal one is left alone."""

    async def body(world):
        crds, name = "customresourcedefinitions.apiextensions.k8s.io", "serviceexports.net.gke.io"
        world.config.patch(crds, name, {"spec": {"versions": [{"name": "v1", "served": True, "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object"}}}]}})  # fmt: skip
        install_kinds(world.config, "crds_services.yaml")
        made = world.config.get(crds, name)
        assert made["spec"]["versions"][0]["additionalPrinterColumns"]
        install_kinds(world.config, "crds_services.yaml")
        assert world.config.get(crds, name)["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

    run(body)
