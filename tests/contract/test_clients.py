"""The real clients: the official Python client and kubectl."""

import json

import pytest

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: {replicas}
  selector:
    matchLabels: {{app: web}}
  template:
    metadata:
      labels: {{app: web}}
    spec:
      containers:
      - name: web
        image: nginx
        ports: [{{containerPort: 80, protocol: TCP}}]
"""


def test_python_client_reads_and_writes(client, ns):
    """The typed client creates, lists, replaces and deletes."""
    from kubernetes.client import ApiException, CoreV1Api, V1ConfigMap, V1ObjectMeta

    api = CoreV1Api(client)
    made = api.create_namespaced_config_map(ns, V1ConfigMap(metadata=V1ObjectMeta(name="a"), data={"x": "1"}))
    made.data["x"] = "2"
    assert api.replace_namespaced_config_map("a", ns, made).data == {"x": "2"}
    assert "a" in [one.metadata.name for one in api.list_namespaced_config_map(ns).items]
    api.delete_namespaced_config_map("a", ns)
    with pytest.raises(ApiException) as failure:
        api.read_namespaced_config_map("a", ns)
    assert (failure.value.status, json.loads(failure.value.body)["reason"]) == (404, "NotFound")


def test_python_client_sees_conflicts(client, ns):
    """A stale replace raises with 409."""
    from kubernetes.client import ApiException, CoreV1Api, V1ConfigMap, V1ObjectMeta

    api = CoreV1Api(client)
    made = api.create_namespaced_config_map(ns, V1ConfigMap(metadata=V1ObjectMeta(name="a")))
    made.data = {"x": "1"}
    api.replace_namespaced_config_map("a", ns, made)
    made.data = {"x": "2"}
    with pytest.raises(ApiException) as failure:
        api.replace_namespaced_config_map("a", ns, made)
    assert failure.value.status == 409


def test_python_client_applies(client, ns):
    """Server-side apply through the generated client, with a plain dictionary."""
    from kubernetes.client import CoreV1Api

    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    api = CoreV1Api(client)
    made = api.patch_namespaced_config_map(
        "a", ns, body, field_manager="test", force=True, _content_type="application/apply-patch+yaml"
    )
    assert made.metadata.managed_fields[0].manager == "test"


def test_python_client_watches(client, ns):
    """A watch of the client tells changes."""
    from kubernetes.client import CoreV1Api, V1ConfigMap, V1ObjectMeta
    from kubernetes.watch import Watch

    api = CoreV1Api(client)
    rv = api.list_namespaced_config_map(ns).metadata.resource_version
    api.create_namespaced_config_map(ns, V1ConfigMap(metadata=V1ObjectMeta(name="a")))
    events = list(Watch().stream(api.list_namespaced_config_map, ns, resource_version=rv, timeout_seconds=1))
    assert [(event["type"], event["object"].metadata.name) for event in events] == [("ADDED", "a")]


def test_kubectl_apply_and_get(kubectl, ns):
    """Client-side apply creates, leaves alone, and changes."""
    created = kubectl("apply", "-n", ns, "-f", "-", stdin=DEPLOYMENT.format(replicas=1)).stdout
    same = kubectl("apply", "-n", ns, "-f", "-", stdin=DEPLOYMENT.format(replicas=1)).stdout
    changed = kubectl("apply", "-n", ns, "-f", "-", stdin=DEPLOYMENT.format(replicas=2)).stdout
    assert [text.split()[-1] for text in (created, same, changed)] == ["created", "unchanged", "configured"]
    shown = kubectl("get", "deploy", "-n", ns).stdout.splitlines()
    assert shown[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert shown[1].split()[:2] == ["web", "0/2"]


def test_kubectl_server_side_apply_and_diff(kubectl, ns):
    """Server-side apply and diff agree."""
    kubectl("apply", "--server-side", "-n", ns, "-f", "-", stdin=DEPLOYMENT.format(replicas=1))
    same = kubectl("diff", "--server-side", "-n", ns, "-f", "-", stdin=DEPLOYMENT.format(replicas=1), check=False)
    other = kubectl("diff", "--server-side", "-n", ns, "-f", "-", stdin=DEPLOYMENT.format(replicas=3), check=False)
    assert (same.returncode, other.returncode) == (0, 1)
    assert "+  replicas: 3" in other.stdout


def test_kubectl_create_posts_protobuf(kubectl, ns):
    """Imperative creates, whose bodies are protobuf, arrive."""
    kubectl("create", "configmap", "c", "-n", ns, "--from-literal=a=b")
    kubectl("create", "deployment", "d", "-n", ns, "--image=nginx", "--replicas=2")
    config = json.loads(kubectl("get", "cm", "c", "-n", ns, "-o", "json").stdout)
    made = json.loads(kubectl("get", "deploy", "d", "-n", ns, "-o", "json").stdout)
    assert config["data"] == {"a": "b"}
    assert made["spec"]["replicas"] == 2
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx"


def test_kubectl_changes(kubectl, ns):
    """label, annotate, scale, set image and the three patches."""
    kubectl("apply", "-n", ns, "-f", "-", stdin=DEPLOYMENT.format(replicas=1))
    kubectl("label", "deploy", "web", "-n", ns, "tier=front")
    kubectl("annotate", "deploy", "web", "-n", ns, "note=this")
    kubectl("scale", "deploy", "web", "-n", ns, "--replicas=4")
    kubectl("set", "image", "deploy", "web", "-n", ns, "web=nginx:2")
    kubectl("patch", "deploy", "web", "-n", ns, "-p", '{"spec":{"paused":true}}')
    kubectl("patch", "deploy", "web", "-n", ns, "--type=merge", "-p", '{"spec":{"minReadySeconds":3}}')
    operation = '[{"op":"replace","path":"/spec/revisionHistoryLimit","value":2}]'
    kubectl("patch", "deploy", "web", "-n", ns, "--type=json", "-p", operation)
    live = json.loads(kubectl("get", "deploy", "web", "-n", ns, "-o", "json").stdout)
    spec, metadata = live["spec"], live["metadata"]
    assert (metadata["labels"]["tier"], metadata["annotations"]["note"]) == ("front", "this")
    assert (spec["replicas"], spec["paused"], spec["minReadySeconds"], spec["revisionHistoryLimit"]) == (4, True, 3, 2)
    assert spec["template"]["spec"]["containers"][0]["image"] == "nginx:2"


def test_kubectl_wait_and_delete(kubectl, ns):
    """Waiting sees a field, delete waits for the end, get says there is nothing."""
    kubectl("create", "-n", ns, "-f", "-", stdin=DEPLOYMENT.format(replicas=1))
    kubectl("wait", "deploy/web", "-n", ns, "--for=jsonpath={.spec.replicas}=1", "--timeout=120s")
    kubectl("delete", "deploy", "web", "-n", ns, "--timeout=120s")
    missing = kubectl("get", "deploy", "web", "-n", ns, check=False)
    assert 'deployments.apps "web" not found' in missing.stderr


def test_kubectl_describe_and_explain(kubectl, ns, since):
    """Both describe and explain find what they need."""
    kubectl("create", "-n", ns, "-f", "-", stdin=DEPLOYMENT.format(replicas=1))
    assert "Selector:               app=web" in kubectl("describe", "deploy", "web", "-n", ns).stdout
    since(1, 27)
    assert "FIELDS:" in kubectl("explain", "deployment.spec.strategy").stdout


def test_kubectl_discovery(kubectl):
    """api-resources and api-versions list what is served."""
    assert "deployments" in kubectl("api-resources").stdout
    assert "apps/v1" in kubectl("api-versions").stdout


def test_kubectl_auth(kubectl):
    """The answer of auth can-i holds for oneself and for others."""
    assert kubectl("auth", "can-i", "delete", "nodes").stdout.strip() == "yes"
    other = kubectl("auth", "can-i", "delete", "nodes", "--as=system:serviceaccount:default:x", check=False)
    assert other.stdout.strip() == "no"


def test_kubectl_cordon_and_drain(kubectl, http, ns):
    """Cordon marks a node, drain evicts its Pods, and a bound Pod goes when its grace is cut."""
    node = f"node-{ns}"
    http.create("/api/v1/nodes", {"metadata": {"name": node}})
    pods = f"/api/v1/namespaces/{ns}/pods"
    spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}
    http.create(pods, {"metadata": {"name": "p", "ownerReferences": [owner]}, "spec": spec})
    replicas = {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}
    http.create(f"/apis/apps/v1/namespaces/{ns}/replicasets", {"metadata": {"name": "r"}, "spec": replicas})
    kubectl("cordon", node)
    assert http("GET", f"/api/v1/nodes/{node}").json()["spec"]["unschedulable"] is True
    kubectl("drain", node, "--grace-period=0", "--force", "--timeout=120s")
    assert http("GET", f"{pods}/p").status_code == 404
    kubectl("delete", "node", node)


def test_kubectl_patch_of_a_finalizer(kubectl, http, ns):
    """A finalizer holds a deletion back until kubectl takes it away."""
    http.create(f"/api/v1/namespaces/{ns}/configmaps", {"metadata": {"name": "a", "finalizers": ["example.com/x"]}})
    kubectl("delete", "cm", "a", "-n", ns, "--wait=false")
    assert http("GET", f"/api/v1/namespaces/{ns}/configmaps/a").json()["metadata"]["deletionTimestamp"]
    kubectl("patch", "cm", "a", "-n", ns, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert http("GET", f"/api/v1/namespaces/{ns}/configmaps/a").status_code == 404
