"""Defaults that the recordings, made with an older release, do not hold."""

import pytest

from controlplane.localcloud.apiserver.schema import apply_defaults, builtin_type, generate_job_selector, types_from_crd


def _job(**spec):
    container = {"name": "c", "image": "i:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    metadata = {"name": "j", "namespace": "default", "uid": "u-1"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template, **spec}}


def test_a_job_gets_what_newer_releases_know(create):
    """Completion mode, suspension and the replacement of Pods are written out."""
    _, job = create(_job())
    spec = {key: value for key, value in job["spec"].items() if key != "template"}
    assert spec == {
        "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
        "podReplacementPolicy": "TerminatingOrFailed",
    }  # fmt: skip


def test_parallelism_alone_is_a_work_queue(create):
    """Completions stay unset then."""
    _, job = create(_job(parallelism=3))
    assert "completions" not in job["spec"]


def test_a_jobs_selector_is_generated():
    """Labels and selector name the Job by uid and name; the Job is labelled like its Pods."""
    job = _job()
    apply_defaults(builtin_type("batch/v1", "Job"), job)
    generate_job_selector(job)
    labels = {
        "controller-uid": "u-1", "batch.kubernetes.io/controller-uid": "u-1",
        "job-name": "j", "batch.kubernetes.io/job-name": "j",
    }  # fmt: skip
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}
    assert job["spec"]["template"]["metadata"]["labels"] == labels
    assert job["metadata"]["labels"] == labels


def test_a_manual_selector_stays():
    """The user's own selector is not touched."""
    job = _job(manualSelector=True, selector={"matchLabels": {"a": "b"}})
    generate_job_selector(job)
    assert job["spec"]["selector"] == {"matchLabels": {"a": "b"}}


def test_a_selector_that_was_not_generated_is_refused(create):
    """Without manualSelector nobody else may write the selector."""
    job = _job(selector={"matchLabels": {"a": "b"}})
    generate_job_selector(job)
    code, message, _ = create(job)
    assert code == 422
    assert "spec.selector: Invalid value" in message
    assert "`selector` not auto-generated" in message


def test_a_service_gets_its_families(create):
    """Addresses and traffic policies are written out; a headless Service lists its address."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"clusterIP": "None", "ports": [{"port": 80}]},
    }
    _, obj = create(service)
    assert obj["spec"] == {
        "type": "ClusterIP", "sessionAffinity": "None", "clusterIP": "None", "clusterIPs": ["None"],
        "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        pytest.param({}, "BestEffort", id="nothing asked"),
        pytest.param({"requests": {"cpu": "1"}}, "Burstable", id="a request"),
        pytest.param({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed", id="limits on both"),
        pytest.param({"limits": {"nvidia.com/gpu": "1"}}, "BestEffort", id="a GPU alone"),
    ],
)
def test_the_quality_of_service_of_a_pod(create, resources, expected):
    """It follows from cpu and memory only; limits become requests."""
    container = {"name": "c", "image": "i:1", "resources": resources}
    _, pod = create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}})
    assert pod["status"]["qosClass"] == expected
    got = pod["spec"]["containers"][0]["resources"]
    assert {**(got.get("limits") or {}), **got.get("requests", {})} == got.get("requests", {})


def test_defaults_are_stable(create):
    """Defaulting what was defaulted changes nothing."""
    _, job = create(_job())
    _, again = create(job)
    assert again == job


def test_defaults_of_custom_resources(make_crd):
    """Missing values and forbidden nulls give way to defaults, also inside defaults, lists and maps."""
    nested = {"type": "object", "default": {}, "properties": {"z": {"type": "integer", "default": 7}}}
    item = {"type": "object", "properties": {"d": {"type": "string", "default": "dd"}}}
    crd = make_crd(
        {
            "zone": {"type": "string", "default": "a"},
            "nest": nested,
            "items": {"type": "array", "items": item},
            "map": {"type": "object", "additionalProperties": item},
            "free": {"type": "string", "nullable": True, "default": "x"},
        }
    )
    (info,) = types_from_crd(crd)
    obj = {"metadata": {"name": "g"}, "spec": {"zone": None, "items": [{}], "map": {"k": {}}, "free": None}}
    apply_defaults(info, obj)
    assert obj["spec"] == {
        "zone": "a", "nest": {"z": 7}, "items": [{"d": "dd"}], "map": {"k": {"d": "dd"}}, "free": None,
    }  # fmt: skip


def test_a_cron_job_completes_the_pods_of_its_jobs(create):
    """The Job's own defaults wait until it is created."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}
    body = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "j"},
        "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}},
    }
    _, job = create(body)
    assert {key: value for key, value in job["spec"].items() if key != "jobTemplate"} == {
        "schedule": "@daily", "concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }  # fmt: skip
    assert set(job["spec"]["jobTemplate"]["spec"]) == {"template"}
    assert job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"] == "ClusterFirst"


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        pytest.param(
            "RoleBinding",
            {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]},
            {
                "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
                "subjects": [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}],
            },
            id="groups of a binding",
        ),
        pytest.param(
            "Secret", {"stringData": {"a": "x"}}, {"type": "Opaque", "data": {"a": "eA=="}}, id="a Secret's text",
        ),
        pytest.param(
            "NetworkPolicy",
            {"spec": {"podSelector": {}, "egress": [{}]}},
            {"spec": {"podSelector": {}, "egress": [{}], "policyTypes": ["Ingress", "Egress"]}},
            id="types of a network policy",
        ),
        pytest.param(
            "HorizontalPodAutoscaler",
            {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 2, "behavior": {}}},
            {
                "spec": {
                    "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 2, "minReplicas": 1,
                    "metrics": [{
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                    }],
                    "behavior": {
                        "scaleUp": {
                            "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
                            "policies": [
                                {"type": "Pods", "value": 4, "periodSeconds": 15},
                                {"type": "Percent", "value": 100, "periodSeconds": 15},
                            ],
                        },
                        "scaleDown": {
                            "selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                        },
                    },
                },
            },
            id="an autoscaler's behaviour",
        ),
        pytest.param(
            "PriorityClass", {"value": 1}, {"value": 1, "preemptionPolicy": "PreemptLowerPriority"}, id="preemption",
        ),
    ],
)  # fmt: skip
def test_other_kinds(kind, body, expected):
    """Defaults that follow from what is there."""
    groups = {
        "RoleBinding": "rbac.authorization.k8s.io/v1", "Secret": "v1", "NetworkPolicy": "networking.k8s.io/v1",
        "HorizontalPodAutoscaler": "autoscaling/v2", "PriorityClass": "scheduling.k8s.io/v1",
    }  # fmt: skip
    apply_defaults(builtin_type(groups[kind], kind), body)
    assert body == expected
