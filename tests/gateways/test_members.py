"""Member clusters over sockets: what is read with how many calls, what is written on which condition, and RBAC."""

import importlib.resources
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import regional_deploy
from controlplane.api import parse_service
from controlplane.engine.ports import ConfigCluster as ConfigPort
from controlplane.gateways import errors
from controlplane.gateways.configcluster import ConfigCluster
from controlplane.gateways.members import MemberCluster
from controlplane.gateways.resources import DEPLOYMENTS, EVENTS, NODES, PODS
from controlplane.gateways.retrying import Retrying
from controlplane.model import naming
from controlplane.model.batch import BatchSpec, StartJob
from controlplane.model.observation import AutoscalerFact
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, RefusalClass
from controlplane.model.service import Autoscaling, Https, Iap, IngressKind, PodTemplate, ServiceSpec
from ingress import WIRINGS

REF = ClusterRef("us-central1", "gpu-1")
OFFERING = Offering(REF, Accelerator("nvidia-l4"), Capacity.SPOT)
SPEC = ServiceSpec(
    name="web",
    namespace="default",
    uid="uid-1",
    generation=1,
    replicas=1,
    accelerators=(Accelerator("nvidia-l4"),),
    pod=PodTemplate(image="gpu-hunter/demo-app:1", port=7860, requests={"cpu": "1", "memory": "2Gi"}),
)
BATCH = BatchSpec(
    name="cats",
    namespace="default",
    uid="uid-2",
    generation=1,
    parameters="gs://b/cats.yaml",
    output="gs://b/out",
    pictures=20,
    accelerators=(Accelerator("nvidia-l4"),),
    pod=PodTemplate(image="gpu-hunter/sd-webui:1", port=0, requests={"cpu": "1", "memory": "2Gi"}),
    shard_size=10,
)
RBAC = Path(regional_deploy.__file__).parent / "rbac"


def deployment(replicas=1, spec=SPEC):
    return regional_deploy.deployment(spec, OFFERING, replicas=replicas, spec_hash="abc", fence=7)


def pod(name="web-1", *, node=None, ready=False, phase="Pending"):
    labels = naming.placement_labels("web", OFFERING)
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T12:00:00Z"}] if ready else []
    return (
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": labels},
            "spec": {"containers": [{"name": "app", "image": "x"}], **({"nodeName": node} if node else {})},
        },
        {"phase": phase, "conditions": conditions},
    )


def put_pod(served, name="web-1", **options):
    body, status = pod(name, **options)
    admin = served.client()
    made = admin.create(PODS, body)
    return admin.replace(PODS, {**made, "status": status}, subresource="status")


def put_event(served, involved, reason, message, **times):
    times = times or {"lastTimestamp": "2099-01-01T00:00:00Z"}
    served.client().create(
        EVENTS,
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "e-", "namespace": "default"},
            "involvedObject": {
                "kind": involved["kind"], "name": involved["metadata"]["name"], "namespace": "default",
                "uid": involved["metadata"]["uid"],
            },
            "reason": reason, "message": message, "type": "Warning", "source": {"component": "cluster-autoscaler"}, **times,  # noqa: E501
        },
    )  # fmt: skip


def test_an_empty_cluster_costs_two_calls(served):
    """With nothing of ours there, Deployments and Pods are listed and nothing else."""
    member = MemberCluster(REF, served.client())
    assert member.workloads() == {}
    assert member.calls == 2


def test_a_whole_placement_costs_three_calls(served):
    """A placement that is ready is seen with its zone, and no Events are asked for."""
    admin = served.client()
    admin.create(
        NODES,
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": "n1",
                "labels": {naming.NODE_ACCELERATOR: "nvidia-l4", "topology.kubernetes.io/zone": "us-central1-a"},
            },
        },
    )
    member = MemberCluster(REF, served.client())
    member.apply(deployment())
    put_pod(served, node="n1", ready=True, phase="Running")
    before = member.calls
    (fact,) = member.workloads()["default", "web"]
    assert member.calls - before == 3
    assert (fact.replicas, fact.template_hash, fact.fence) == (1, "abc", 7)
    assert fact.pods[0].zone == "us-central1-a"
    assert fact.pods[0].ready


def test_refusals_of_a_waiting_pod_are_read(served):
    """A Pod without a node gets the Events of its own uid, classified; those of an earlier Pod say nothing."""
    member = MemberCluster(REF, served.client())
    member.apply(deployment())
    waiting = put_pod(served) | {"kind": "Pod"}
    message = "Node scale up in zones us-central1-a associated with this pod failed: GCE out of resources."
    put_event(served, waiting, "FailedScaleUp", message)
    put_event(served, waiting, "FailedScheduling", "0/3 nodes are available")
    put_event(
        served,
        {**waiting, "metadata": {**waiting["metadata"], "uid": "earlier"}},
        "FailedScaleUp",
        "GCE quota exceeded",
    )
    put_event(served, waiting, "NotTriggerScaleUp", "pod didn't trigger scale-up: 1 in backoff after failed scale-up")
    (fact,) = member.workloads()["default", "web"]
    assert [(r.refusal, r.zones) for r in fact.refusals] == [(RefusalClass.STOCK_OUT, ("us-central1-a",))]


def test_pods_that_are_refused_at_admission(served):
    """The Deployment's own condition tells of a Pod template that nobody takes."""
    member = MemberCluster(REF, served.client())
    made = member.apply(deployment())
    message = 'admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden rejected'  # noqa: E501
    stamp = "2026-11-01T12:00:00Z"
    condition = {
        "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message,
        "lastUpdateTime": stamp, "lastTransitionTime": stamp,
    }  # fmt: skip
    served.client().replace(DEPLOYMENTS, {**made, "status": {"conditions": [condition]}}, subresource="status")
    (fact,) = member.workloads()["default", "web"]
    assert [r.refusal for r in fact.refusals] == [RefusalClass.REJECTED_SPEC]


def test_lists_that_contradict_each_other_are_incomplete(served):
    """Pods without their Deployment mean that a list was cut short, not that the Deployment is gone (S2)."""
    put_pod(served)
    with pytest.raises(errors.ListIncomplete):
        MemberCluster(REF, served.client()).workloads()


def test_foreign_deployments_are_not_seen(served):
    """A Deployment without our labels, or whose name does not fit its labels, is no placement (S7)."""
    member = MemberCluster(REF, served.client())
    other = deployment()
    other["metadata"]["labels"] = {"app": "web"}
    member.apply(other)
    misnamed = deployment()
    misnamed["metadata"]["name"] = "something-else"
    member.apply(misnamed)
    assert member.workloads() == {}


def test_scaling_down_and_deleting_need_the_state_that_was_seen(served):
    """Both fail with a conflict once the Deployment changed, and change nothing then."""
    member = MemberCluster(REF, served.client())
    seen = member.apply(deployment(3))["metadata"]
    member.apply(deployment(4))
    with pytest.raises(errors.Conflict):
        member.scale_down("default", "web-l4-spot", 1, resource_version=seen["resourceVersion"], fence=8)
    with pytest.raises(errors.Conflict):
        member.delete_deployment("default", "web-l4-spot", uid=seen["uid"], resource_version=seen["resourceVersion"])
    live = member.get(deployment())
    assert live["spec"]["replicas"] == 4
    member.scale_down("default", "web-l4-spot", 1, resource_version=live["metadata"]["resourceVersion"], fence=8)
    live = member.get(deployment())
    assert (live["spec"]["replicas"], live["metadata"]["annotations"][naming.ANNOTATION_FENCE]) == (1, "8")


def test_what_is_not_ours_is_not_deleted(served):
    """Cleaning up leaves an object of our name that does not carry our labels."""
    member = MemberCluster(REF, served.client())
    manifest = regional_deploy.region_manifests(SPEC)[0]
    foreign = {**manifest, "metadata": {**manifest["metadata"], "labels": {}}}
    member.apply(foreign)
    assert member.delete_owned(manifest) is False
    assert member.get(manifest) is not None


FLEET = {
    "apiVersion": "gpuhunter.dev/v1alpha1",
    "kind": "Fleet",
    "metadata": {"name": "default"},
    "spec": {"project": "my-project", "configCluster": "us-west2/hunt-config"},
}


def granted(file):
    """Give the (verb, group/resource) pairs that a file of RBAC grants."""
    role = next(d for d in yaml.safe_load_all((RBAC / file).read_text()) if d["kind"] == "ClusterRole")
    return {
        (verb, f"{group}/{resource}")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def needed(recorded):
    """Give the pairs that calls need: an apply that may create needs `create` as well, as API servers check it."""
    applied = {resource for verb, resource in recorded if verb == "patch"} - {
        "gpuhunter.dev/gpuservices",
        "gpuhunter.dev/gpubatches",
    }
    return set(recorded) | {("create", resource) for resource in applied}


def restricted(served, file):
    """Give a client of a user who may do what the file says and nothing else."""
    served.install(*[_for(d) for d in yaml.safe_load_all((RBAC / file).read_text())])
    served.server.restrict("reconciler")
    return served.client("reconciler-token")


def _for(document):
    if document["kind"] != "ClusterRoleBinding":
        return document
    return {**document, "subjects": [{**document["subjects"][0], "name": "reconciler"}]}


def test_a_kind_that_is_not_installed_has_no_objects(served):
    """A member without the ServiceExport kind exports nothing, which is no fault."""
    kind = WIRINGS[IngressKind.MULTI_CLUSTER_GATEWAY].member_kind()
    assert MemberCluster(REF, served.client()).list_kind(kind) == []


def use_jobs(member):
    """Do with a Job all that a batch's life takes."""
    offering = Offering(REF, Accelerator("nvidia-l4"), Capacity.SPOT)
    manifest = regional_deploy.job(BATCH, StartJob(offering, 1, (1, 0), "test"), fence=1)
    assert member.get(manifest) is None
    made = member.apply(manifest)["metadata"]
    ((found,),) = member.jobs().values()
    assert (found.shards, found.left, found.workload.replicas) == ((1, 0), (1, 0), 1)
    member.scale_job("default", made["name"], 2, resource_version=made["resourceVersion"], fence=2)
    with pytest.raises(errors.Conflict):
        member.scale_job("default", made["name"], 3, resource_version=made["resourceVersion"], fence=2)
    ((found,),) = member.jobs().values()
    assert (found.workload.replicas, found.workload.fence) == (2, 2)
    member.delete_job("default", made["name"], uid=made["uid"])


def autoscaler(uid, spec=SPEC, minimum=1):
    scaled = replace(spec, autoscaling=Autoscaling(4, 25))
    return regional_deploy.autoscaler(scaled, OFFERING, minimum=minimum, maximum=4, uid=uid, spec_hash="def")


def use_autoscaler(member, spec, made):
    """Do with an autoscaler all that a placement's life takes; give the Deployment as it is then."""
    manifest = autoscaler(made["uid"], spec)
    assert member.get(manifest) is None
    version = member.hand_over("web-ns", made["name"], 2, resource_version=made["resourceVersion"])
    member.apply(deployment(None, spec), resource_version=version)
    member.apply(manifest)
    member.workloads()
    assert member.delete_owned(manifest)
    return member.get(deployment(spec=spec))["metadata"]


def test_the_replicas_of_an_autoscaled_deployment_stay_and_are_told_with_their_bounds(served):
    """Handing over changes no number; the bounds are read where the Deployment says that there are any."""
    member = MemberCluster(REF, served.client())
    made = member.apply(deployment(3))["metadata"]
    with pytest.raises(errors.Conflict):
        member.hand_over("default", made["name"], 3, resource_version="1")
    version = member.hand_over("default", made["name"], 3, resource_version=made["resourceVersion"])
    member.apply(deployment(None), resource_version=version)
    assert member.get(deployment())["spec"]["replicas"] == 3
    ((found,),) = member.workloads().values()
    assert (found.replicas, found.autoscaler) == (3, None), "the Deployment alone is not scaled yet"
    member.apply(autoscaler(made["uid"], minimum=2))
    ((found,),) = member.workloads().values()
    assert found.autoscaler == AutoscalerFact(2, 4, "def")
    live = member.get(deployment())["metadata"]
    member.scale_down("default", made["name"], 2, resource_version=live["resourceVersion"], fence=8)
    before = member.calls
    ((found,),) = member.workloads().values()
    assert (found.replicas, found.autoscaler) == (2, None), "taken back: it says no more that it is scaled"
    assert member.calls - before == CALLS_WHEN_SHORT
    member.apply(deployment(1))
    assert member.get(deployment())["spec"]["replicas"] == 1


CALLS_WHEN_SHORT = 3
"""Deployments, Pods, and Events because Pods are missing: no list of autoscalers."""


def test_the_autoscaler_of_another_deployment_of_the_name_is_not_taken_for_ours(served):
    """It belongs to the Deployment that its owner reference names by uid, and to no other."""
    member = MemberCluster(REF, served.client())
    member.apply(deployment(None))
    member.apply(autoscaler("another-uid"))
    ((found,),) = member.workloads().values()
    assert found.autoscaler is None


def test_the_member_role_is_what_is_called_and_no_more(served):
    """Everything the reconciler does in a member works under its role, and every verb of the role is used (X1)."""
    folder = importlib.resources.files("controlplane.localcloud.loadbalancer")
    served.install(*yaml.safe_load_all(folder.joinpath("crds_services.yaml").read_text()))
    member = MemberCluster(REF, restricted(served, "member.yaml"))
    spec = replace(SPEC, namespace="web-ns")
    member.ensure(regional_deploy.namespace("web-ns"))
    member.ensure(regional_deploy.priority_class())
    member.workloads()
    for manifest in regional_deploy.region_manifests(spec):
        member.get(manifest)
        member.apply(manifest)
    made = member.apply(deployment(2, spec))["metadata"]
    member.get(deployment(spec=spec))
    body, _ = pod(node="n1")
    served.client().create(PODS, {**body, "metadata": {**body["metadata"], "namespace": "web-ns"}})
    member.workloads()
    made = use_autoscaler(member, spec, made)
    member.scale_down("web-ns", made["name"], 1, resource_version=made["resourceVersion"], fence=1)
    live = member.get(deployment(spec=spec))["metadata"]
    member.delete_deployment("web-ns", live["name"], uid=live["uid"], resource_version=live["resourceVersion"])
    use_jobs(member)
    gateway = WIRINGS[IngressKind.MULTI_CLUSTER_GATEWAY]
    export = gateway.member_manifest(spec)
    assert member.get(export) is None
    member.apply(export)
    assert [found["metadata"]["name"] for found in member.list_kind(gateway.member_kind())] == ["web"]
    assert all(member.delete_owned(manifest) for manifest in (export, *regional_deploy.release_order(spec)))
    assert needed(member.recorded) == granted("member.yaml")


def keep_a_batch(hub):
    """Create, read and write a GPUBatch as a pass does."""
    spec = {
        "parameters": "gs://b/a.yaml",
        "output": "gs://b/out",
        "accelerators": [{"type": "nvidia-l4"}],
        "worker": {"image": "gpu-hunter/sd-webui:1"},
    }
    metadata = {"name": "cats", "namespace": "default"}
    made = {"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "GPUBatch", "metadata": metadata, "spec": spec}
    hub.create_batch(made)
    with pytest.raises(errors.AlreadyExists):
        hub.create_batch(made)
    (batch,) = hub.batches()
    batch = hub.set_finalizers(batch, [naming.FINALIZER])
    assert hub.write_status(batch, {"phase": "Running"})["status"]["phase"] == "Running"
    with pytest.raises(errors.Conflict):
        hub.write_status(batch, {"phase": "Failed"})


def test_the_config_cluster_role_is_what_is_called_and_no_more(config):
    """Everything the reconciler does in the config cluster works under its role, and every verb is used (X1)."""
    admin = config.client()
    admin.apply(
        {
            "apiVersion": "gpuhunter.dev/v1alpha1",
            "kind": "GPUService",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"accelerators": [{"type": "nvidia-l4"}], "pod": {"image": "gpu-hunter/demo-app:1"}},
        }
    )
    hub: ConfigPort = ConfigCluster(restricted(config, "config-cluster.yaml"))
    assert hub.read_lease("gpu-hunter", "gpu-hunter") is None
    lease = hub.create_lease(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "gpu-hunter", "namespace": "gpu-hunter"},
            "spec": {"holderIdentity": "me", "leaseTransitions": 1, "renewTime": "2026-11-01T12:00:00.000000Z"},
        }
    )
    hub.replace_lease({**lease, "spec": {**lease["spec"], "leaseTransitions": 2}})
    with pytest.raises(errors.Conflict):
        hub.replace_lease(lease)
    assert hub.fleet() is None
    admin.apply(FLEET)
    written = hub.write_fleet_status(hub.fleet(), {"clusters": "1/1"})
    assert (written["kind"], written["status"]) == ("Fleet", {"clusters": "1/1"})
    with pytest.raises(errors.Conflict):
        hub.write_fleet_status({**written, "metadata": {**written["metadata"], "resourceVersion": "1"}}, {})
    (service,) = hub.services()
    service = hub.set_finalizers(service, [naming.FINALIZER])
    written = hub.write_status(service, {"ready": "0/1", "memory": {"version": 1}})
    assert written["status"]["ready"] == "0/1"
    with pytest.raises(errors.Conflict):
        hub.write_status(service, {"ready": "1/1"})
    keep_a_batch(hub)
    hub.emit(
        {
            "metadata": {"name": "web.1", "namespace": "default"},
            "involvedObject": {"kind": "GPUService", "name": "web", "namespace": "default"},
            "reason": "Test", "message": "x", "type": "Normal", "source": {"component": "gpu-hunter"},
        }
    )  # fmt: skip
    https = Https(certificates=("cert",), ssl_policy="modern")
    secured = replace(SPEC, ingress=replace(SPEC.ingress, https=https, security_policy="armor", iap=Iap("oauth", "id")))
    for wiring in WIRINGS.values():
        for manifest in wiring.manifests(secured, [REF.link], fence=1):
            hub.get(manifest)
            hub.apply(manifest)
        for kind, name in wiring.obsolete(SPEC):
            assert hub.delete_owned(kind, "default", name, naming.service_labels("web"))
        state = wiring.state(SPEC, {kind: hub.list_kind(kind) for kind in wiring.observed_kinds()})
        assert state.clusters == (REF.link,)
        assert state.spec_hash
        for kind, name in wiring.release_order(SPEC):
            assert hub.delete_owned(kind, "default", name, naming.service_labels("web"))
    assert needed(hub.recorded) == granted("config-cluster.yaml")


def test_the_labels_of_a_metric_survive_the_definition(config):
    """They are the user's own keys, which no schema can name, and are not pruned."""
    metric = {"name": "queue", "selector": {"matchLabels": {"resource.labels.job": "web"}}}
    external = {"metric": metric, "target": {"type": "Value", "value": "5"}}
    scaled = {"maxReplicas": 3, "metrics": [{"type": "External", "external": external}]}
    spec = {"accelerators": [{"type": "nvidia-l4"}], "pod": {"image": "app:1"}, "autoscaling": scaled}
    made = {"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "GPUService", "spec": spec}
    stored = config.client().apply({**made, "metadata": {"name": "grows", "namespace": "default"}})
    assert stored["spec"]["autoscaling"]["metrics"] == scaled["metrics"]
    assert parse_service(stored).autoscaling.metrics[0]["external"] == external


def test_no_wildcards_and_nothing_that_escalates():
    """The roles name verbs and resources one by one, and none that gives away secrets or rights."""
    pairs = granted("member.yaml") | granted("config-cluster.yaml")
    assert not [p for p in pairs if "*" in p[0] or "*" in p[1]]
    assert not [p for p in pairs if p[0] in ("escalate", "bind", "impersonate") or "secrets" in p[1] or "role" in p[1]]


@pytest.mark.parametrize("kind", ["hang", "403", "500", "expired-credential"])
def test_a_cluster_without_events_is_not_dark(served, kind):
    """Events only tell why something is missing: where they cannot be had, what stands there is seen all the same."""
    member = MemberCluster(REF, served.client())
    silent = MemberCluster(REF, served.client(timeouts=(60.0, 2.0), retrying=Retrying(attempts=1)))
    member.apply(deployment(replicas=2))
    put_pod(served)
    served.fail(kind, path="/events")
    (fact,) = (silent if kind == "hang" else member).workloads()["default", "web"]
    assert (fact.replicas, len(fact.pods), fact.refusals) == (2, 1, ())
