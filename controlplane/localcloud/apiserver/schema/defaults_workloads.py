"""Default values of the controllers' objects: Deployments and their kin, Jobs, autoscalers."""

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.defaults_pod import pod_spec

_JOB_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name")


def pod_template(spec: Object) -> None:
    """Complete the Pod template of a controller's spec."""
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))


def deployment(obj: Object) -> None:
    """Complete a Deployment."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    pod_template(spec)


def replica_set(obj: Object) -> None:
    """Complete a ReplicaSet."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    pod_template(spec)


def replication_controller(obj: Object) -> None:
    """Complete a ReplicationController."""
    spec = obj.setdefault("spec", {})
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        spec.setdefault("selector", dict(labels))
        obj.setdefault("metadata", {}).setdefault("labels", dict(labels))
    replica_set(obj)


def stateful_set(obj: Object) -> None:
    """Complete a StatefulSet."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    pod_template(spec)


def daemon_set(obj: Object) -> None:
    """Complete a DaemonSet."""
    spec = obj.setdefault("spec", {})
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    pod_template(spec)


def _job_spec(spec: Object) -> None:
    # Unset completions and parallelism mean one Pod; unset completions alone mean a work queue.
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    for rule in (spec.get("podFailurePolicy") or {}).get("rules", ()):
        for pattern in rule.get("onPodConditions", ()):
            pattern.setdefault("status", "True")
    pod_template(spec)


def job(obj: Object) -> None:
    """Complete a Job."""
    spec = obj.setdefault("spec", {})
    _job_spec(spec)
    metadata = obj.setdefault("metadata", {})
    labels = spec["template"]["metadata"].get("labels")
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def cron_job(obj: Object) -> None:
    """Complete a CronJob."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    # Jobs of the template are defaulted when they are created; only their Pods are completed here.
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    pod_template(template.setdefault("spec", {}))


def autoscaler(obj: Object) -> None:
    """Complete a HorizontalPodAutoscaler."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is None:
        return
    up_policies = [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ]
    down_policies = [{"type": "Percent", "value": 100, "periodSeconds": 15}]
    up = behavior.setdefault("scaleUp", {})
    up.setdefault("stabilizationWindowSeconds", 0)
    down = behavior.setdefault("scaleDown", {})
    for rules, policies in ((up, up_policies), (down, down_policies)):
        rules.setdefault("selectPolicy", "Max")
        rules.setdefault("policies", policies)


def generate_job_selector(job: Object) -> None:
    """Give a Job its selector and the labels of its template, in place; call it once uid and name are known.

    With `manualSelector` the user's selector stays.
    """
    spec = job.get("spec", {})
    if spec.get("manualSelector"):
        return
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    metadata = spec.setdefault("template", {}).setdefault("metadata", {})
    labels = metadata["labels"] = dict(metadata.get("labels") or {})
    for key, value in zip(_JOB_LABELS, (uid, uid, name, name), strict=True):
        labels.setdefault(key, value)
    selector = spec.setdefault("selector", {})
    match = selector.setdefault("matchLabels", {})
    match.setdefault("batch.kubernetes.io/controller-uid", uid)
    if not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)
