"""Warden: what Autopilot adds to Pods, what it refuses, and in which words."""

import json

import pytest

from controlplane.localcloud.apiserver.api import ApiError

NO_ACCELERATOR = (
    'admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden rejected '
    "the request because it violates one or more constraints.\n"
    'Violations details: {"[denied by autogke-gpu-limitation]":["When requesting \'nvidia.com/gpu\' resources, you '
    "must specify either node selector 'cloud.google.com/gke-accelerator' with accelerator type or node selector "
    "'cloud.google.com/compute-class' with existing custom compute class which has at least one GPU priority rule.\"]}"
)


@pytest.fixture
def refusal(make_world, spec_of):
    """Create a Pod that must be refused; gives the error."""

    def refusal(**options):
        with pytest.raises(ApiError) as caught:
            make_world().pod(**options)
        return caught.value

    return refusal


@pytest.fixture
def admitted(make_world):
    """Create a Pod that must be admitted; gives it as it is then."""

    def admitted(**options):
        return make_world().pod(**options)

    return admitted


def test_a_gpu_without_a_type_is_refused_in_gkes_words(refusal):
    """HTTP 400, Warden's own reason, the whole text."""
    error = refusal(accelerator=None)
    assert (error.code, error.reason) == (400, "GKE Warden constraints violations")
    assert error.message.startswith(NO_ACCELERATOR)
    assert "Requested by user: 'user@example.com'" in error.message


REFUSED = {
    "toleration without GPU": (
        {
            "accelerator": None,
            "gpus": None,
            "requests": {},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
        "autogke-gpu-limitation",
        "The toleration with key 'nvidia.com/gpu' and operator 'Exists' cannot be specified if the pod does not",
    ),
    "unknown GPU": ({"accelerator": "nvidia-riva"}, "autogke-gpu-limitation", "'nvidia-riva' is not supported"),
    "three GPUs": ({"gpus": "3"}, "autogke-gpu-limitation", "GPU request '3' is not supported"),
    "count that no machine has": (
        {"selector": {"cloud.google.com/gke-accelerator-count": "5"}},
        "autogke-gpu-limitation",
        "Accelerator count '5' is not supported",
    ),
    "more GPUs than the count": (
        {"gpus": "2", "selector": {"cloud.google.com/gke-accelerator-count": "1"}},
        "autogke-gpu-limitation",
        "more than the accelerator count '1'",
    ),
    "machine family": (
        {"selector": {"cloud.google.com/machine-family": "g2"}},
        "autopilot-machine-family-selection-limitation",
        'for "cloud.google.com/machine-family" must also specify compute class "Performance".',
    ),
    "ephemeral storage": (
        {"accelerator": None, "gpus": None, "requests": {"ephemeral-storage": "11Gi"}},
        "autogke-pod-limit-constraints",
        "ephemeral-storage requested by containers for workload 'app' is higher than the Autopilot maximum of '10Gi'.",
    ),
    "ephemeral storage with GPU": (
        {"requests": {"ephemeral-storage": "123Gi"}},
        "autogke-pod-limit-constraints",
        "higher than the Autopilot maximum of '122Gi'",
    ),
    "too much CPU": (
        {"requests": {"cpu": "32"}},
        "autogke-pod-limit-constraints",
        "workload 'app' cpu requests '32' is higher than the Autopilot maximum of '31'.",
    ),
    "too much memory": (
        {"requests": {"memory": "200Gi"}},
        "autogke-pod-limit-constraints",
        "workload 'app' memory requests '200Gi' is higher than the Autopilot maximum of '115Gi'.",
    ),
    "anti-affinity on a quarter of a core": (
        {
            "accelerator": None,
            "gpus": None,
            "requests": {"cpu": "250m"},
            "affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}
                    ]
                }
            },
        },
        "autogke-pod-limit-constraints",
        "cpu requests '250m' is lower than the Autopilot minimum required of '500m' for using pod anti affinity.",
    ),
    "host network": ({"hostNetwork": True}, "autogke-disallow-hostnamespaces", "enabling hostNetwork is not allowed"),
    "privileged": (
        {"container": {"securityContext": {"privileged": True}}},
        "autogke-disallow-privilege",
        "container app is privileged; not allowed in Autopilot",
    ),
    "host path": (
        {
            "container": {"volumeMounts": [{"name": "host", "mountPath": "/host"}]},
            "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        },
        "autogke-no-write-mode-hostpath",
        "hostPath volume host in container app is accessed in write mode; disallowed in Autopilot.",
    ),
    "host port": (
        {"container": {"ports": [{"containerPort": 80, "hostPort": 80}]}},
        "autogke-no-host-port",
        "container app specifies a host port",
    ),
    "capability": (
        {"container": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}},
        "autogke-default-linux-capabilities",
        "linux capability 'SYS_ADMIN' on container 'app' not allowed",
    ),
}


@pytest.mark.parametrize(("options", "constraint", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_autopilot_refuses(refusal, options, constraint, text):
    """Each constraint by its name and text, in JSON that can be read back."""
    error = refusal(**options)
    assert error.code == 400
    details = json.loads(error.message.split("Violations details: ")[1].split("\nRequested by")[0])
    assert any(text in message for message in details[f"[denied by {constraint}]"])


def test_several_faults_are_told_at_once(refusal):
    """Nobody has to fix one to learn of the next."""
    message = refusal(accelerator=None, hostPID=True).message
    assert "autogke-gpu-limitation" in message
    assert "autogke-disallow-hostnamespaces" in message


def test_reading_the_hosts_logs_is_allowed(admitted):
    """A read-only hostPath below /var/log passes."""
    mount = {"name": "logs", "mountPath": "/logs", "readOnly": True}
    volumes = [{"name": "logs", "hostPath": {"path": "/var/log/pods"}}]
    assert admitted(container={"volumeMounts": [mount]}, volumes=volumes)["spec"]["volumes"][0]["name"] == "logs"


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        pytest.param({"accelerator": None}, True, id="gpu-rules-are-for-pods"),
        pytest.param({"selector": {"cloud.google.com/machine-family": "g2"}}, True, id="selection-rules-are-for-pods"),
        pytest.param({"hostNetwork": True}, False, id="security-is-for-both"),
        pytest.param({"requests": {"ephemeral-storage": "500Gi"}}, False, id="size-is-for-both"),
    ],
)
def test_which_rules_meet_the_deployment_itself(make_world, options, passes):
    """A Deployment may be accepted while its Pods are refused."""
    world = make_world()
    if passes:
        assert world.deployment(**options)["metadata"]["uid"]
    else:
        with pytest.raises(ApiError, match="GKE Warden rejected"):
            world.deployment(**options)
    with pytest.raises(ApiError, match="GKE Warden rejected"):
        world.pod(**options)


def test_users_stay_out_of_googles_namespaces_and_google_does_not(make_world, spec_of):
    """HTTP 403 with Warden's name in it, unlike a 403 of RBAC."""
    world = make_world()
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec_of()}
    with pytest.raises(ApiError) as caught:
        world.api.create("pods", body, "kube-system", user="user@example.com")
    assert (caught.value.code, caught.value.reason) == (403, "Forbidden")
    assert "GKE Warden authz [denied by managed-namespaces-limitation]" in caught.value.message
    assert world.api.create("pods", body, "kube-system", user="system:controller")["spec"]


def test_a_gpu_pod_gets_its_tolerations_and_scheduler(admitted):
    """GPU and Spot tolerations are added once; a toleration of one's own is kept."""
    own = {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"}
    for tolerations in ([], [own]):
        spec = admitted(tolerations=tolerations)["spec"]
        keys = [t["key"] for t in spec["tolerations"]]
        assert keys.count("nvidia.com/gpu") == 1
        assert keys.count("cloud.google.com/gke-spot") == 1
        assert spec["schedulerName"] == "gke.io/optimize-utilization-scheduler"


def test_an_on_demand_pod_does_not_tolerate_spot(admitted):
    """Only what was asked for is tolerated."""
    keys = {t["key"] for t in admitted(spot=False)["spec"]["tolerations"]}
    assert "cloud.google.com/gke-spot" not in keys


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        pytest.param(
            {"accelerator": None, "gpus": None, "requests": {}},
            {"cpu": "500m", "memory": "2Gi", "ephemeral-storage": "1Gi"},
            id="defaults",
        ),
        pytest.param(
            {"accelerator": None, "gpus": None, "requests": {"cpu": "10m", "memory": "8Mi"}},
            {"cpu": "50m", "memory": "52Mi", "ephemeral-storage": "1Gi"},
            id="general-minimum",
        ),
        pytest.param(
            {"requests": {"cpu": "100m"}},
            {"cpu": "2", "memory": "7Gi", "ephemeral-storage": "1Gi", "nvidia.com/gpu": "1"},
            id="l4-minimum",
        ),
        pytest.param(
            {"requests": {"cpu": "1"}, "gpus": "2"},
            {"cpu": "4", "memory": "14Gi", "ephemeral-storage": "1Gi", "nvidia.com/gpu": "2"},
            id="two-l4-minimum",
        ),
    ],
)
def test_small_requests_are_raised_and_the_pod_says_so(admitted, options, wanted):
    """Requests, limits and the annotations that record the change."""
    pod = admitted(**options)
    resources = pod["spec"]["containers"][0]["resources"]
    assert resources["requests"] == wanted
    assert resources["limits"] == wanted
    annotations = pod["metadata"]["annotations"]
    adjustment = json.loads(annotations["autopilot.gke.io/resource-adjustment"])
    assert adjustment["modified"] is True
    assert adjustment["output"]["containers"][0]["requests"] == wanted
    assert annotations["autopilot.gke.io/warden-version"]


def test_a_container_beside_the_gpu_gets_defaults_and_the_gpu_container_the_rest(admitted, spec_of):
    """The Pod's minimum is reached by the container with the GPU."""
    spec = spec_of(requests={"cpu": "500m"})
    spec["containers"].append({"name": "side", "image": "demo:1"})
    main, side = admitted(spec=spec)["spec"]["containers"]
    assert side["resources"]["requests"]["cpu"] == "500m"
    assert main["resources"]["requests"]["cpu"] == "1500m"
    assert main["resources"]["requests"]["memory"] == "5Gi"


def test_what_was_written_out_in_full_is_left_alone(admitted, spec_of):
    """No change, no annotation."""
    spec = spec_of()
    resources = spec["containers"][0]["resources"]
    resources["requests"]["nvidia.com/gpu"] = "1"
    resources["limits"] = dict(resources["requests"])
    pod = admitted(spec=spec)
    assert pod["spec"]["containers"][0]["resources"] == resources
    assert "annotations" not in pod["metadata"]


def test_templates_are_adjusted_too_and_applying_them_again_changes_nothing(make_world, spec_of):
    """Server-side apply of the same Deployment is a no-op, though the live template differs from what was applied."""
    world = make_world()
    template = {"metadata": {"labels": {"app": "app"}}, "spec": spec_of(requests={"cpu": "100m"})}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "app"}}, "template": template},
    }
    applied = [
        world.api.patch(
            "deployments.apps", "app", body, "default", kind="apply", field_manager="me", user="user@example.com"
        )
        for _ in range(2)
    ]
    live = applied[0]["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert live["cpu"] == "2"
    assert applied[0]["metadata"]["resourceVersion"] == applied[1]["metadata"]["resourceVersion"]
    assert applied[1]["metadata"]["generation"] == 1


def test_the_objects_a_client_sends_and_the_store_holds_are_not_changed_in_place(make_world, spec_of):
    """Admission works on its own copy: what is stored before an update stays what it was."""
    world = make_world()
    before = world.deployment()
    kept = json.dumps(before, sort_keys=True)
    container = {"name": "app", "image": "demo:2", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    world.api.patch("deployments.apps", "app", patch, "default", user="user@example.com")
    assert json.dumps(before, sort_keys=True) == kept
