"""What is deployed into a region, held against Kubernetes' own schemas and against what Autopilot needs."""

import ipaddress
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import regional_deploy
from controlplane.api import parse_service
from controlplane.model import naming
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering

REF = ClusterRef("europe-west4", "gpu-1")
FOLDER = Path(regional_deploy.__file__).parent


def service(**spec):
    return parse_service(
        {
            "apiVersion": "gpuhunter.dev/v1alpha1",
            "kind": "GPUService",
            "metadata": {"name": "web", "namespace": "sd", "uid": "uid-1", "generation": 3},
            "spec": {
                "accelerators": [{"type": "nvidia-l4", "count": 2}],
                "pod": {"image": "gpu-hunter/demo-app:1", "port": 7860, "env": [{"name": "MODEL", "value": "sd"}]},
                **spec,
            },
        }
    )


def offering(capacity=Capacity.SPOT, accelerator="nvidia-l4", count=2):
    return Offering(REF, Accelerator(accelerator, count), capacity)


def render(spec=None, placed=None):
    return regional_deploy.deployment(spec or service(), placed or offering(), replicas=3, spec_hash="h", fence=5)


def container(**options):
    return render(**options)["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("capacity", list(Capacity), ids=str)
def test_every_manifest_is_valid(capacity):
    """All rendered manifests fit Kubernetes' schemas, unknown keys included."""
    for manifest in [
        regional_deploy.namespace("sd"),
        regional_deploy.priority_class(),
        *regional_deploy.placement_manifests(service(), offering(capacity), replicas=1, spec_hash="h", fence=1),
    ]:
        kubernetes_validate.validate(json.loads(json.dumps(manifest)), "1.37", strict=True)


@pytest.mark.parametrize("path", sorted((FOLDER / "manifests").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_files_are_readable_manifests(path):
    """Each file is one complete manifest of its kind with a comment on top that says why it is so."""
    text = path.read_text()
    manifest = yaml.safe_load(text)
    assert manifest["kind"].lower() == path.stem
    assert text.startswith("# ")


@pytest.mark.parametrize(
    ("capacity", "label"),
    [(Capacity.ON_DEMAND, None), (Capacity.SPOT, naming.NODE_SPOT), (Capacity.FLEX_START, naming.NODE_FLEX_START)],
    ids=str,
)
def test_node_selector(capacity, label):
    """The node is chosen by accelerator, count and capacity type; every value is text."""
    selector = render(placed=offering(capacity))["spec"]["template"]["spec"]["nodeSelector"]
    assert selector == {
        naming.NODE_ACCELERATOR: "nvidia-l4",
        naming.NODE_ACCELERATOR_COUNT: "2",
        **({label: "true"} if label else {}),
    }


def test_quantities_are_text():
    """The client library refuses numbers where quantities belong."""
    resources = container()["resources"]
    assert resources["limits"] == {"nvidia.com/gpu": "2"}
    assert all(isinstance(value, str) for value in resources["requests"].values())


def test_the_app_is_told_of_its_placement():
    """Region, GPU, capacity type and service come as variables, the Pod's name through the downward API."""
    env = {item["name"]: item.get("value") or item["valueFrom"] for item in container()["env"]}
    assert env == {
        "LD_LIBRARY_PATH": "/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
        "GPU_HUNTER_SERVICE": "web",
        "GPU_HUNTER_REGION": "europe-west4",
        "GPU_HUNTER_ACCELERATOR": "nvidia-l4",
        "GPU_HUNTER_CAPACITY": "spot",
        "GPU_HUNTER_POD": {"fieldRef": {"fieldPath": "metadata.name"}},
        "MODEL": "sd",
    }


def test_a_variable_of_the_users_own_wins():
    """Names of variables are unique, and what the user sets stays as set."""
    spec = service(pod={"image": "x:1", "env": [{"name": "GPU_HUNTER_REGION", "value": "mine"}]})
    values = [item["value"] for item in container(spec=spec)["env"] if item["name"] == "GPU_HUNTER_REGION"]
    assert values == ["mine"]


def test_patience_exceeds_provisioning_and_warm_up():
    """The Deployment does not report failure, and the start-up probe does not kill, before the GPU has had its time."""
    spec = service(timing={"attemptDeadline": "40m", "warmupDeadline": "20m"})
    assert render(spec=spec)["spec"]["progressDeadlineSeconds"] > 60 * 60
    startup = container(spec=spec)["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 20 * 60
    startup = container()["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 15 * 60


def test_rollouts_and_endings_are_gentle():
    """A new Pod comes before the old one goes; a Pod that goes serves on for a while, within its grace."""
    manifest = render()
    assert manifest["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pod = manifest["spec"]["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < pause < pod["terminationGracePeriodSeconds"]


def test_no_pause_before_the_end():
    """A service that wants no pause gets none; zero seconds would be refused by older servers."""
    spec = service()
    spec = replace(spec, pod=replace(spec.pod, pre_stop_seconds=0))
    assert "lifecycle" not in container(spec=spec)


def test_pods_are_restricted():
    """Pods fit the restricted Pod security standard and carry no token (X8)."""
    pod = render()["spec"]["template"]["spec"]
    own = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert "hostNetwork" not in pod


def test_an_app_that_may_write_nowhere_gets_its_folders():
    """User id, read-only root and scratch folders are as the service asks; without asking, the root is writable."""
    asked = {
        "image": "x:1",
        "runAsUser": 10001,
        "readOnlyRootFilesystem": True,
        "scratch": [{"path": "/tmp"}, {"path": "/cache", "size": "25Gi"}],
    }
    pod = render(spec=service(pod=asked))["spec"]["template"]["spec"]
    assert {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    folders = {volume["name"]: volume["emptyDir"] for volume in pod["volumes"]}
    mounted = {mount["mountPath"]: folders[mount["name"]] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounted == {"/tmp": {}, "/cache": {"sizeLimit": "25Gi"}}
    plain = render()["spec"]["template"]["spec"]
    assert plain["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is False
    assert "volumes" not in plain


def test_the_web_uis_example_is_a_valid_deployment():
    """The GPUService that comes with the web UI renders to what the API server takes, probes and folders included."""
    spec = parse_service(yaml.safe_load((FOLDER.parent / "webui_image" / "deploy" / "sd-webui.yaml").read_text()))
    manifest = render(spec=spec, placed=offering(count=1))
    kubernetes_validate.validate(json.loads(json.dumps(manifest)), "1.37", strict=True)
    app = manifest["spec"]["template"]["spec"]["containers"][0]
    probes = {kind: app[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
    assert {kind: probe["httpGet"]["path"] for kind, probe in probes.items()} == {
        "startup": "/startupz",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    assert probes["startup"]["periodSeconds"] * probes["startup"]["failureThreshold"] >= 15 * 60


def test_labels_select_what_they_should():
    """A Deployment selects its own Pods; Service and budget select all placements of the service and no other's."""
    manifests = {m["kind"]: m for m in regional_deploy.region_manifests(service())}
    pods = render()["spec"]["template"]["metadata"]["labels"]
    assert render()["spec"]["selector"]["matchLabels"].items() <= pods.items()
    other = render(placed=offering(Capacity.ON_DEMAND))["spec"]["template"]["metadata"]["labels"]
    assert not render()["spec"]["selector"]["matchLabels"].items() <= other.items()
    for selector in (
        manifests["Service"]["spec"]["selector"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= pods.items()
        assert selector.items() <= other.items()
        foreign = naming.placement_labels("web2", offering())
        assert not selector.items() <= foreign.items()


def test_bookkeeping_is_annotated():
    """Hash, fence and owner stand on the Deployment, none of them in the Pod template, which would roll it."""
    manifest = render()
    assert manifest["metadata"]["annotations"] == {
        naming.ANNOTATION_SPEC_HASH: "h",
        naming.ANNOTATION_FENCE: "5",
        naming.ANNOTATION_OWNER_UID: "uid-1",
    }
    assert "annotations" not in manifest["spec"]["template"]["metadata"]


def test_rendering_twice_gives_the_same_and_shares_nothing():
    """What one caller changes does not reach the next."""
    first = render()
    first["spec"]["template"]["spec"]["containers"][0]["image"] = "changed"
    assert render()["spec"]["template"]["spec"]["containers"][0]["image"] == "gpu-hunter/demo-app:1"


def test_timing_changes_only_the_patience():
    """What the template's hash does not cover must not be in the Pod template, or it would roll unasked."""
    one, other = service(), service()
    other = replace(other, timing=replace(other.timing, attempt_deadline=timedelta(hours=1)), replicas=7, paused=True)
    assert render(spec=one)["spec"]["template"] == render(spec=other)["spec"]["template"]


@pytest.mark.parametrize(
    ("target", "open_"),
    [
        ("169.254.169.254", False),
        ("169.254.169.252", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("172.31.255.255", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("fd20:ce::254", False),
        ("fe80::1", False),
        ("::1", False),
        ("8.8.8.8", True),
        ("142.250.1.1", True),
        ("2607:f8b0::1", True),
    ],
)
def test_where_pods_may_connect_to(target, open_):
    """A web app that fetches what its users name reaches the internet, not the metadata server or private networks."""
    policy = next(m for m in regional_deploy.region_manifests(service()) if m["kind"] == "NetworkPolicy")
    address = ipaddress.ip_address(target)
    allowed = False
    for rule in policy["spec"]["egress"]:
        if rule.get("ports"):
            continue  # names only
        for peer in rule["to"]:
            block = peer["ipBlock"]
            inside = address in ipaddress.ip_network(block["cidr"])
            allowed |= inside and not any(address in ipaddress.ip_network(net) for net in block["except"])
    assert allowed is open_


def test_services_go_before_batches():
    """Pods name the priority that every member gets once; it is no default for what others run there."""
    made = regional_deploy.priority_class()
    assert render()["spec"]["template"]["spec"]["priorityClassName"] == made["metadata"]["name"]
    assert made["value"] > 0
    assert made["globalDefault"] is False


def test_the_drivers_libraries_are_found_unless_the_app_says_where():
    """GKE's place for the driver is in LD_LIBRARY_PATH; a value of the user's own stands alone."""
    own = {"image": "x:1", "env": [{"name": "LD_LIBRARY_PATH", "value": "/mine"}]}
    values = [item["value"] for item in container(spec=service(pod=own))["env"] if item["name"] == "LD_LIBRARY_PATH"]
    assert values == ["/mine"]
    assert "/usr/local/nvidia/lib64" in str(container()["env"])


def test_a_short_warm_up_does_not_shoot_a_start():
    """Looking elsewhere after 30 s is one thing, beginning the load anew another: 15 minutes at least."""
    startup = container(spec=service(timing={"warmupDeadline": "30s"}))["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 15 * 60


ACCOUNT = "web@my-project.iam.gserviceaccount.com"
BUCKET = {"path": "/models", "bucket": "weights", "prefix": "sd/1.5"}


def region(**pod):
    return {m["kind"]: m for m in regional_deploy.region_manifests(service(pod={"image": "x:1", **pod}))}


def test_workload_identity_is_asked_for_on_the_service_account():
    """The annotation names the Google service account; without one there is none."""
    account = region(googleServiceAccount=ACCOUNT)["ServiceAccount"]
    assert account["metadata"]["annotations"] == {"iam.gke.io/gcp-service-account": ACCOUNT}
    assert account["automountServiceAccountToken"] is False
    assert "annotations" not in region()["ServiceAccount"]["metadata"]


@pytest.mark.parametrize(
    ("pod", "let_in"),
    [
        pytest.param({}, False, id="plain"),
        pytest.param({"googleServiceAccount": ACCOUNT}, True, id="workload-identity"),
        pytest.param({"model": BUCKET}, True, id="bucket"),
        pytest.param({"model": {"path": "/models", "claim": "weights"}}, False, id="claim"),
    ],
)
def test_only_an_app_with_an_identity_reaches_the_metadata_server(pod, let_in):
    """Others cannot be talked into asking it for tokens."""
    blocks = [
        (peer["ipBlock"]["cidr"], port["port"])
        for rule in region(**pod)["NetworkPolicy"]["spec"]["egress"]
        for peer in rule["to"]
        for port in rule.get("ports", ())
        if "ipBlock" in peer and port["port"] != 53
    ]
    assert blocks == ([("169.254.169.252/32", 988), ("169.254.169.254/32", 80)] if let_in else [])


def test_a_model_in_a_bucket_is_mounted_read_only():
    """Cloud Storage FUSE's driver, the annotation that brings its container, and no way to write."""
    spec = service(pod={"image": "x:1", "model": BUCKET, "scratch": [{"path": "/tmp"}]})
    manifest = render(spec=spec)
    kubernetes_validate.validate(json.loads(json.dumps(manifest)), "1.37", strict=True)
    template = manifest["spec"]["template"]
    assert template["metadata"]["annotations"] == {"gke-gcsfuse/volumes": "true"}
    volume = next(v for v in template["spec"]["volumes"] if v["name"] == "model")
    assert (volume["csi"]["driver"], volume["csi"]["readOnly"]) == ("gcsfuse.csi.storage.gke.io", True)
    attributes = volume["csi"]["volumeAttributes"]
    assert attributes == {"bucketName": "weights", "mountOptions": "implicit-dirs,only-dir=sd/1.5"}
    mounts = {m["name"]: m for m in template["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["model"] == {"name": "model", "mountPath": "/models", "readOnly": True}
    assert mounts["scratch-0"]["mountPath"] == "/tmp"


def test_a_model_on_a_claim_is_mounted_read_only():
    """A claim that many may read, of one name in every region, without Cloud Storage's container."""
    spec = service(pod={"image": "x:1", "model": {"path": "/models", "claim": "weights"}})
    manifest = render(spec=spec)
    kubernetes_validate.validate(json.loads(json.dumps(manifest)), "1.37", strict=True)
    (volume,) = manifest["spec"]["template"]["spec"]["volumes"]
    assert volume == {"name": "model", "persistentVolumeClaim": {"claimName": "weights", "readOnly": True}}
    assert "annotations" not in manifest["spec"]["template"]["metadata"]


QUEUE = {
    "type": "External",
    "external": {
        "metric": {"name": "queue", "selector": {"matchLabels": {"app": "web"}}},
        "target": {"type": "AverageValue", "averageValue": "5"},
    },
}


@pytest.mark.parametrize(
    ("scaling", "kinds"),
    [
        pytest.param({}, ["Resource"], id="cpu-by-default"),
        pytest.param({"targetCPUUtilization": 60, "metrics": [QUEUE]}, ["Resource", "External"], id="both"),
        pytest.param({"metrics": [QUEUE]}, ["External"], id="a-metric-alone"),
    ],
)
def test_the_autoscaler_is_valid_and_belongs_to_its_deployment(scaling, kinds):
    """It fits Kubernetes' schema, aims at its placement's Deployment, and goes with it."""
    spec = service(autoscaling={"maxReplicas": 5, **scaling})
    manifest = regional_deploy.autoscaler(spec, offering(), minimum=2, maximum=4, uid="u", spec_hash="h")
    kubernetes_validate.validate(json.loads(json.dumps(manifest)), "1.37", strict=True)
    aimed = render(spec)["metadata"]
    assert manifest["metadata"]["name"] == manifest["spec"]["scaleTargetRef"]["name"] == aimed["name"]
    assert manifest["metadata"]["labels"] == aimed["labels"]
    (owner,) = manifest["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Deployment", aimed["name"], "u")
    assert (manifest["spec"]["minReplicas"], manifest["spec"]["maxReplicas"]) == (2, 4)
    assert [metric["type"] for metric in manifest["spec"]["metrics"]] == kinds


def test_a_deployment_that_an_autoscaler_scales_says_so_and_names_no_replicas():
    """Nothing else is different, so that letting go of the replicas is no rollout."""
    fixed = render()
    scaled = regional_deploy.deployment(service(), offering(), replicas=None, spec_hash="h", fence=5)
    assert scaled["metadata"]["annotations"].pop(naming.ANNOTATION_AUTOSCALED)
    assert fixed["spec"].pop("replicas") == 3
    assert scaled == fixed
