"""What stands behind a Service: Endpoints and EndpointSlices as Pods come, get ready and go."""

import pytest

SLICES = "endpointslices.discovery.k8s.io"


@pytest.fixture
def service():
    """Build a Service for the Deployment `web`."""

    def build(ports=None, **spec):
        ports = ports or [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
        body = {"selector": {"app": "web"}, "clusterIP": "10.96.0.9", "ports": ports} | spec
        meta = {"name": "web", "namespace": "default"}
        return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": body}

    return build


def endpoints_of(cluster):
    return [e for s in cluster.list(SLICES) for e in s["endpoints"]]


def conditions(cluster):
    return sorted(tuple(e["conditions"][n] for n in ("ready", "serving", "terminating")) for e in endpoints_of(cluster))


def addresses(cluster, which="addresses"):
    subsets = cluster.get("endpoints", "web").get("subsets") or []
    return sorted(a["ip"] for subset in subsets for a in subset.get(which) or [])


def test_endpoints_follow_readiness_and_termination(scenario, deployment, service, idle):
    """A Pod is listed once it has an address, ready once it is, and terminating but serving while it drains."""

    async def story(cluster):
        cluster.apply("services", service())
        cluster.apply("deployments.apps", deployment(replicas=2))
        await cluster.settle()
        assert endpoints_of(cluster) == []
        one, two = cluster.pods()
        cluster.ready(one, ip="10.8.0.1")
        cluster.ready(two, "False", ip="10.8.0.2")
        await cluster.settle()
        assert conditions(cluster) == [(False, False, False), (True, True, False)]
        assert addresses(cluster) == ["10.8.0.1"]
        assert addresses(cluster, "notReadyAddresses") == ["10.8.0.2"]
        (subset,) = cluster.get("endpoints", "web")["subsets"]
        assert subset["ports"] == [{"name": "http", "port": 7860, "protocol": "TCP"}]
        found = next(e for e in endpoints_of(cluster) if e["addresses"] == ["10.8.0.1"])
        assert (found["nodeName"], found["zone"]) == ("node-1", "us-central1-a")
        assert found["targetRef"]["name"] == one["metadata"]["name"]
        assert await idle(cluster, 300) == 0
        cluster.api.delete("pods", one["metadata"]["name"], "default")
        await cluster.settle()
        assert (False, True, True) in conditions(cluster)
        assert addresses(cluster) == []

    scenario(story)


def test_not_ready_addresses_are_published_on_request(scenario, deployment, service):
    """PublishNotReadyAddresses makes every Pod with an address ready to a client."""

    async def story(cluster):
        cluster.apply("services", service(publishNotReadyAddresses=True, clusterIP="None"))
        cluster.apply("deployments.apps", deployment(replicas=1))
        await cluster.settle()
        cluster.ready(cluster.pods()[0], "False", ip="10.8.0.1")
        await cluster.settle()
        assert conditions(cluster) == [(True, False, False)]
        assert addresses(cluster) == ["10.8.0.1"]
        assert "service.kubernetes.io/headless" in cluster.list(SLICES)[0]["metadata"]["labels"]

    scenario(story)


def test_pods_that_name_the_port_differently_get_slices_of_their_own(scenario, deployment, service):
    """A named target port is resolved by each Pod."""

    async def story(cluster):
        cluster.apply("services", service())
        for name, number in (("one", 7000), ("two", 8000)):
            body = deployment(name=name, replicas=1)
            body["spec"]["template"]["metadata"]["labels"]["app"] = "web"
            body["spec"]["selector"]["matchLabels"] = {"app": "web", "part": name}
            body["spec"]["template"]["metadata"]["labels"]["part"] = name
            body["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = number
            cluster.apply("deployments.apps", body)
        await cluster.run_pods()
        assert sorted(s["ports"][0]["port"] for s in cluster.list(SLICES)) == [7000, 8000]

    scenario(story)


def test_more_than_a_hundred_endpoints_are_split(scenario, service):
    """No slice holds more than 100 endpoints."""

    async def story(cluster):
        for number in range(130):
            meta = {"name": f"p-{number:03}", "namespace": "default", "labels": {"app": "web"}}
            ports = [{"name": "http", "containerPort": 7860}]
            spec = {"containers": [{"name": "main", "image": "app:1", "ports": ports}]}
            pod = cluster.api.create(
                "pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, "default"
            )
            cluster.ready(pod, ip=f"10.9.0.{number}")
        cluster.apply("services", service())
        await cluster.settle()
        assert sorted(len(s["endpoints"]) for s in cluster.list(SLICES)) == [30, 100]
        assert len(addresses(cluster)) == 130

    scenario(story)


def test_a_pod_that_changes_its_label_leaves_the_service(scenario, service):
    """A relabelled Pod is no longer behind the Service, even with nobody else moving."""

    async def story(cluster):
        cluster.apply("services", service())
        meta = {"name": "bare", "namespace": "default", "labels": {"app": "web"}}
        spec = {"containers": [{"name": "main", "image": "app:1", "ports": [{"name": "http", "containerPort": 7860}]}]}
        cluster.ready(
            cluster.api.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, "default")
        )
        await cluster.settle()
        assert len(endpoints_of(cluster)) == len(addresses(cluster)) == 1
        cluster.patch("pods", "bare", {"metadata": {"labels": {"app": "debug"}}})
        await cluster.settle()
        assert endpoints_of(cluster) == addresses(cluster) == []

    scenario(story)


def test_without_selector_endpoints_are_the_users(scenario, service):
    """A Service without selector gets none, and the user's own are left alone."""

    async def story(cluster):
        body = service()
        del body["spec"]["selector"]
        cluster.apply("services", body)
        own = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "default"}}
        cluster.api.create("endpoints", own | {"subsets": [{"addresses": [{"ip": "192.0.2.1"}]}]}, "default")
        await cluster.settle()
        assert addresses(cluster) == ["192.0.2.1"]
        assert cluster.list(SLICES) == []
        cluster.api.delete("services", "web", "default")
        await cluster.settle()
        assert addresses(cluster) == ["192.0.2.1"]

    scenario(story)


def test_a_deleted_service_takes_its_endpoints_along(scenario, service):
    """Endpoints and slices go with their Service."""

    async def story(cluster):
        cluster.apply("services", service())
        await cluster.settle()
        assert len(cluster.list(SLICES)) == 1
        cluster.api.delete("services", "web", "default")
        await cluster.settle()
        assert cluster.get("endpoints", "web") is None
        assert cluster.list(SLICES) == []

    scenario(story)
