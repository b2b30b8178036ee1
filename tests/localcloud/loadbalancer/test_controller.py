"""What objects in the config cluster do to the load balancer, over virtual time."""

import asyncio
import json

import pytest

from controlplane.localcloud.loadbalancer import LoadBalancerError

CENTRAL, EUROPE = "us-central1/gpu-a", "europe-west4/gpu-b"
INGRESSES = "multiclusteringresses.networking.gke.io"
SERVICES = "multiclusterservices.networking.gke.io"


def addresses(world, **kwargs):
    return [address for _, _, address in world.proxy.addresses(**kwargs)]


async def serving(world, **kwargs):
    """Bring one ingress up with a Pod in each of two regions."""
    world.mcs(**kwargs)
    world.mci()
    await world.settle()
    world.pods(CENTRAL, "127.1.0.1")
    world.pods(EUROPE, "127.2.0.1", zone="europe-west4-b")
    await world.converge()


def test_an_ingress_answers_once_it_has_converged(run):
    """Before the convergence delay there is no address; after it there are VIP, resources, time stamp and Event."""

    async def body(world):
        world.mcs()
        world.mci()
        await world.settle()
        world.pods(CENTRAL, "127.1.0.1")
        await world.clock.advance(9)
        assert "status" not in world.get_mci()
        assert world.proxy.ports() == {}
        await world.converge()
        body = world.get_mci()
        port = world.proxy.ports()["sd-web"]
        assert body["status"]["VIP"] == f"127.0.0.1:{port}"
        resources = body["status"]["CloudResources"]
        assert len(resources["BackendServices"]) == len(resources["HealthChecks"]) == 1
        assert resources["NetworkEndpointGroups"][0].startswith("zones/us-central1-a/networkEndpointGroups/k8s1-")
        assert "networking.gke.io/last-reconcile-time" in body["metadata"]["annotations"]
        assert world.events("ADD") == ["sd/web", "sd/web"]
        assert body["metadata"]["finalizers"] == ["mci.finalizer.networking.gke.io"]

    run(body)


def test_pods_are_ordered_by_the_distance_of_their_region(run):
    """The region nearest to the client has priority 0."""

    async def body(world):
        await serving(world)
        assert world.proxy.addresses() == [(0, "europe-west4", "127.2.0.1"), (1, "us-central1", "127.1.0.1")]

    run(body, client_region="europe-west1")


def test_members_get_derived_headless_services(run):
    """Each listed member has a headless Service with the template's selector and ports, and its parent's name."""

    async def body(world):
        world.mcs(links=[CENTRAL])
        await world.settle()
        derived = world.derived(CENTRAL)
        assert derived["spec"]["clusterIP"] == "None"
        assert derived["spec"]["selector"] == {"app": "web"}
        assert derived["spec"]["ports"][0]["targetPort"] == 7860
        parent = json.loads(derived["metadata"]["annotations"]["networking.gke.io/multiclusterservice-parent"])
        assert parent == {"Namespace": "sd", "Name": "web"}
        assert world.derived(EUROPE) is None

    run(body)


def test_without_a_list_every_member_takes_part(run):
    """spec.clusters left out is all members."""

    async def body(world):
        world.mcs(links=None)
        await world.settle()
        assert world.derived(CENTRAL)
        assert world.derived(EUROPE)

    run(body)


def test_a_member_without_the_namespace_has_no_service(run):
    """The namespace must exist in the member; once it does, the Service follows."""

    async def body(world):
        world.members[EUROPE].delete("namespaces", "sd")
        for _ in range(3):
            live = world.members[EUROPE].find("namespaces", "sd")
            if live is not None:
                live = json.loads(json.dumps(live))
                live["spec"] = {"finalizers": []}
                world.members[EUROPE].update("namespaces", live, subresource="finalize")
        world.mcs()
        await world.settle()
        assert world.derived(EUROPE) is None
        world.members[EUROPE].create(
            "namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sd"}}
        )
        await world.settle()
        assert world.derived(EUROPE)

    run(body)


def test_a_pod_that_ends_or_is_not_ready_leaves_at_once(run):
    """Pods come and go without the convergence delay."""

    async def body(world):
        await serving(world)
        world.pods(CENTRAL, "127.1.0.1", "127.1.0.2", "127.1.0.3", terminating=["127.1.0.1"], ready=["127.1.0.2"])
        await world.settle()
        assert addresses(world) == ["127.1.0.2", "127.2.0.1"]

    run(body)


def test_a_member_that_is_taken_off_the_list_leaves_after_the_delay(run):
    """Until then it serves; afterwards its Pods, its groups and its derived Service are gone."""

    async def body(world):
        await serving(world)
        world.relink(CENTRAL)
        await world.clock.advance(9)
        assert addresses(world) == ["127.1.0.1", "127.2.0.1"]
        await world.converge()
        assert addresses(world) == ["127.1.0.1"]
        assert world.derived(EUROPE) is None
        groups = world.get_mci()["status"]["CloudResources"]["NetworkEndpointGroups"]
        assert all("us-central1" in group for group in groups)
        assert "sd/web" in world.events("UPDATE")

    run(body)


def test_an_unreachable_member_keeps_its_last_pods(run):
    """What cannot be seen does not change, until it can be seen again."""

    async def body(world):
        await serving(world)
        world.down.add(EUROPE)
        world.pods(EUROPE, "127.2.0.9", zone="europe-west4-b")
        await world.converge()
        assert addresses(world) == ["127.1.0.1", "127.2.0.1"]
        world.down.discard(EUROPE)
        await world.clock.advance(1)
        await world.settle()
        assert addresses(world) == ["127.1.0.1", "127.2.0.9"]

    run(body)


def test_without_the_config_cluster_everything_goes_on_as_it_was(run):
    """Edits wait until it answers again; Pods come and go all the same."""

    async def body(world):
        await serving(world)
        world.down.add("us-west2/hunt-config")
        world.relink(CENTRAL)
        world.pods(CENTRAL, "127.1.0.1", "127.1.0.2")
        await world.converge()
        assert addresses(world) == ["127.1.0.1", "127.1.0.2", "127.2.0.1"]
        world.down.clear()
        await world.clock.advance(1)
        await world.converge()
        assert addresses(world) == ["127.1.0.1", "127.1.0.2"]

    run(body)


def test_a_cluster_that_is_gone_but_named_keeps_its_last_pods(run):
    """Its groups leak, as when a cluster is deleted before it is taken off the list."""

    async def body(world):
        await serving(world)
        del world.members[EUROPE]
        await world.converge()
        assert addresses(world) == ["127.1.0.1", "127.2.0.1"]
        world.relink(CENTRAL)
        await world.converge()
        assert addresses(world) == ["127.1.0.1"]

    run(body)


def test_deleting_the_objects_takes_everything_down(run):
    """Finalizers hold them until listener, backends and derived Services are gone."""

    async def body(world):
        await serving(world)
        world.config.delete(INGRESSES, "web", "sd")
        world.config.delete(SERVICES, "web", "sd")
        await world.settle()
        assert world.get_mci()["metadata"]["deletionTimestamp"]
        assert addresses(world) == ["127.1.0.1", "127.2.0.1"]
        await world.converge()
        await world.clock.advance(3)
        await world.settle()
        assert world.config.find(INGRESSES, "web", "sd") is None
        assert world.config.find(SERVICES, "web", "sd") is None
        assert world.derived(CENTRAL) is None
        assert world.proxy.ports() == {}
        assert set(world.proxy.documents) == {"lds.json", "cds.json"}

    run(body)


def test_a_backend_outlives_its_routes_for_a_moment(run):
    """Envoy reads routes and clusters apart, so a cluster goes only after nothing names it."""

    async def body(world):
        await serving(world)
        world.config.delete(INGRESSES, "web", "sd")
        await world.settle()
        await world.clock.advance(10)
        assert world.proxy.ports() == {}
        assert len(world.proxy.documents["cds.json"]["resources"]) == 1
        await world.clock.advance(3)
        assert world.proxy.documents["cds.json"]["resources"] == []

    run(body)


def test_several_ingresses_have_ports_of_their_own(run):
    """The first has the configured port, the next one the next that is free."""
    from controlplane.localcloud.loadbalancer.envoy import any_free_port

    first = any_free_port()

    async def body(world):
        await serving(world)
        world.mci("other")
        await world.converge()
        ports = world.proxy.ports()
        assert ports["sd-web"] == first
        assert ports["sd-other"] > first

    run(body, port=first)


def test_a_port_in_use_is_one_clear_line(run, tmp_path):
    """The load balancer does not start on a port that is taken, and says what to do."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        async def body(world):
            again = world.restart(port=port)
            with pytest.raises(LoadBalancerError, match=rf"port {port} .* is in use.*load_balancer.port"):
                again.preflight()

        run(body)


def test_the_backend_config_decides_checks_timeout_and_draining(run):
    """Health check, timeout and port come from the BackendConfig that the annotation names."""

    async def body(world):
        world.backend_config(
            healthCheck={"requestPath": "/readyz", "port": 9000, "checkIntervalSec": 2, "unhealthyThreshold": 3},
            timeoutSec=300,
            connectionDraining={"drainingTimeoutSec": 60},
        )
        await serving(world, annotations={"cloud.google.com/backend-config": '{"default": "bc"}'})
        [cluster] = world.proxy.documents["cds.json"]["resources"]
        [check] = cluster["health_checks"]
        assert (check["interval"], check["unhealthy_threshold"]) == ("2s", 3)
        assert check["http_health_check"]["path"] == "/readyz"
        [table] = [d for name, d in world.proxy.documents.items() if name.startswith("rds-")]
        route = table["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]
        assert route["timeout"] == "300s"
        [health] = world.balancer.health().values()
        assert (health.timeout_seconds, health.draining_seconds) == (300, 60)

    run(body)


def test_a_missing_backend_config_is_an_event_and_changes_nothing(run):
    """The last good state stays, and the controller says why."""

    async def body(world):
        await serving(world)
        patch = {"metadata": {"annotations": {"cloud.google.com/backend-config": '{"default": "nope"}'}}}
        world.config.patch(SERVICES, "web", patch, "sd")
        await world.converge()
        assert addresses(world) == ["127.1.0.1", "127.2.0.1"]
        assert world.events("SYNC") == ['error running sync: BackendConfig "sd/nope" not found']

    run(body)


def test_an_ingress_without_its_service_waits_and_says_so(run):
    """No address until the MultiClusterService exists."""

    async def body(world):
        world.mci()
        await world.converge()
        assert "status" not in world.get_mci()
        assert world.events("SYNC") == ['error running sync: MultiClusterService "sd/web" not found']
        world.mcs()
        await world.converge()
        assert "VIP" in world.get_mci()["status"]

    run(body)


def test_health_comes_from_the_active_checks(run):
    """Each endpoint is healthy, unhealthy or not yet known."""

    async def body(world):
        await serving(world)
        [name] = world.balancer.health()
        host = {"address": {"socket_address": {"address": "127.1.0.1", "port_value": 7860}}, "health_status": {}}
        sick = {
            "address": {"socket_address": {"address": "127.2.0.1", "port_value": 7860}},
            "health_status": {"failed_active_health_check": True},
        }
        page = {"cluster_statuses": [{"name": name, "host_statuses": [host, sick]}]}
        world.proxy.clusters_page = json.dumps(page).encode()
        await world.clock.advance(1)
        found = {e.address: e.healthy for g in world.balancer.health()[name].groups for e in g.endpoints}
        assert found == {"127.1.0.1": True, "127.2.0.1": False}

    run(body)


def test_a_restarted_controller_knows_what_was_programmed(run):
    """Ports and Pods are back before the first look at any cluster, and nothing is written to the objects."""

    async def body(world):
        await serving(world)
        ports, before = world.proxy.ports(), world.get_mci()
        await world.balancer.stop()
        world.down |= {CENTRAL, EUROPE}
        again = world.restart()
        task = asyncio.create_task(again.run())
        await world.settle()
        assert world.proxy.ports() == ports
        assert addresses(world) == ["127.1.0.1", "127.2.0.1"]
        await world.clock.advance(20)
        assert world.get_mci() == before
        await again.stop()
        await asyncio.gather(task, return_exceptions=True)

    run(body)


def test_a_port_that_was_taken_meanwhile_is_replaced_and_a_new_setting_followed(run):
    """Where no port is asked for, any other one will do; a port that is asked for is taken up after a restart."""
    import socket

    from controlplane.localcloud.loadbalancer.envoy import any_free_port

    async def body(world):
        await serving(world)
        [port] = world.proxy.ports().values()
        await world.balancer.stop()
        wanted = any_free_port()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            for changes, check in (({}, lambda new: new != port), ({"port": wanted}, lambda new: new == wanted)):
                again = world.restart(**changes)
                task = asyncio.create_task(again.run())
                await world.converge()
                [new] = world.proxy.ports().values()
                assert check(new)
                assert world.get_mci()["status"]["VIP"] == f"127.0.0.1:{new}"
                await again.stop()
                await asyncio.gather(task, return_exceptions=True)

    run(body)


def test_a_settled_load_balancer_writes_nothing(run):
    """An hour without edits leaves every object as it was."""

    async def body(world):
        await serving(world)
        before = (world.get_mci(), world.config.get(SERVICES, "web", "sd"), world.derived(CENTRAL))
        for _ in range(20):
            await world.clock.advance(180)
        assert (world.get_mci(), world.config.get(SERVICES, "web", "sd"), world.derived(CENTRAL)) == before
        assert world.balancer.settled

    run(body)


def test_a_derived_service_that_somebody_deletes_comes_back(run):
    """The controller is level-triggered."""

    async def body(world):
        await serving(world)
        world.members[CENTRAL].delete("services", world.derived(CENTRAL)["metadata"]["name"], "sd")
        await world.settle()
        assert world.derived(CENTRAL)

    run(body)
