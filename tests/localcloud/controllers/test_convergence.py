"""Whatever is done to a Deployment in whatever order, it comes to rest in the state that was asked for last."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OPERATIONS = st.one_of(
    st.tuples(st.just("scale"), st.integers(0, 7)),
    st.tuples(st.just("image"), st.sampled_from(["app:1", "app:2", "app:3"])),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("kill"), st.integers(0, 9)),
    st.tuples(st.just("unready"), st.integers(0, 9)),
    st.tuples(st.just("start"), st.integers(0, 9)),
    st.tuples(st.just("restart controllers"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 700)),
)
ROLLING = st.tuples(st.sampled_from([0, 1, 2, "25%", "100%"]), st.sampled_from([0, 1, 2, "25%", "100%"])).filter(
    lambda pair: pair != (0, 0)
)


async def perform(cluster, operation, value):
    pods = cluster.pods()
    match operation:
        case "scale":
            cluster.patch("deployments.apps", "web", {"spec": {"replicas": value}})
        case "image":
            containers = [{"name": "main", "image": value}]
            cluster.patch("deployments.apps", "web", {"spec": {"template": {"spec": {"containers": containers}}}})
        case "pause":
            cluster.patch("deployments.apps", "web", {"spec": {"paused": value}})
        case "kill" if pods:
            cluster.api.delete("pods", pods[value % len(pods)]["metadata"]["name"], "default", grace_seconds=0)
        case "unready" if pods:
            cluster.ready(pods[value % len(pods)], "False")
        case "start" if pods:
            cluster.ready(pods[value % len(pods)])
        case "restart controllers":
            await cluster.stop()
            await cluster.start()
        case "wait":
            await cluster.pass_time(value)
            return
    await cluster.settle()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rolling=ROLLING, operations=st.lists(OPERATIONS, max_size=12))
def test_a_deployment_converges(scenario, deployment, idle, rolling, operations):
    """The right number of Pods of the right template, reported as such, and then not one write more."""

    async def story(cluster):
        surge, unavailable = rolling
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
        cluster.apply("deployments.apps", deployment(replicas=3, strategy=strategy))
        await cluster.settle()
        for operation, value in operations:
            await perform(cluster, operation, value)
        cluster.patch("deployments.apps", "web", {"spec": {"paused": False}})
        await cluster.settle()
        for pod in cluster.pods(running=True):
            cluster.ready(pod)
        await cluster.run_pods(rounds=60)
        wanted = cluster.get("deployments.apps", "web")
        image = wanted["spec"]["template"]["spec"]["containers"][0]["image"]
        assert [p["spec"]["containers"][0]["image"] for p in cluster.pods()] == [image] * wanted["spec"]["replicas"]
        status = wanted["status"]
        assert status.get("availableReplicas", 0) == status.get("updatedReplicas", 0) == wanted["spec"]["replicas"]
        assert status["observedGeneration"] == wanted["metadata"]["generation"]
        assert cluster.condition("deployments.apps", "web", "Available")["status"] == "True"
        assert cluster.condition("deployments.apps", "web", "Progressing")["reason"] == "NewReplicaSetAvailable"
        assert await idle(cluster, 50) == 0

    scenario(story)
