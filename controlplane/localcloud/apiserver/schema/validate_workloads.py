"""Validation of Deployments, ReplicaSets and the other controllers' objects, Jobs, autoscalers, disruption budgets."""

from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import NIL, FieldError, forbidden, invalid, not_supported, required
from controlplane.localcloud.apiserver.schema.validate_pod import pod_spec

_JOB_RESTARTS = ("OnFailure", "Never")


def template(field: str, value: Object) -> list[FieldError]:
    """Complain about a Pod template."""
    metadata = value.get("metadata") or {}
    found = names.labels(f"{field}.metadata.labels", metadata.get("labels"))
    return found + pod_spec(f"{field}.spec", value.get("spec") or {})


def _always(field: str, spec: Object) -> list[FieldError]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "Always")
    if policy == "Always":
        return []
    return [not_supported(f"{field}.template.spec.restartPolicy", policy, ("Always",))]


def _selected(field: str, spec: Object, owner: str) -> list[FieldError]:
    """Check that the selector exists, says something, and matches the template."""
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    mismatch = invalid(
        f"{field}.template.metadata.labels", labels or NIL, "`selector` does not match template `labels`"
    )
    if selector is None:
        return [required(f"{field}.selector"), mismatch]
    found = names.selector(f"{field}.selector", selector)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return [*found, invalid(f"{field}.selector", selector, f"empty selector is invalid for {owner}")]
    if found:
        return [*found, invalid(f"{field}.selector", selector, "invalid label selector")]
    return [] if matches(selector, labels or {}) else [mismatch]


def matches(selector: Object, labels: Object) -> bool:
    """Say whether a label selector selects these labels."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or ():
        key, operator, values = expression.get("key"), expression.get("operator"), expression.get("values") or ()
        present = key in labels
        if operator == "In" and labels.get(key) not in values:
            return False
        if operator == "NotIn" and present and labels[key] in values:
            return False
        if (operator == "Exists" and not present) or (operator == "DoesNotExist" and present):
            return False
    return True


def _counts(field: str, spec: Object, *keys: str) -> list[FieldError]:
    return [error for key in keys for error in names.not_negative(f"{field}.{key}", spec.get(key))]


def deployment(obj: Object) -> list[FieldError]:
    """Complain about a Deployment."""
    spec = obj.get("spec") or {}
    found = _counts("spec", spec, "replicas")
    found += _selected("spec", spec, "deployment")
    found += template("spec.template", spec.get("template") or {})
    found += _always("spec", spec)
    found += _strategy("spec.strategy", spec.get("strategy") or {})
    found += _counts("spec", spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and 0 <= deadline <= spec.get("minReadySeconds", 0):
        found.append(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return found


def _strategy(field: str, strategy: Object) -> list[FieldError]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        text = "may not be specified when strategy `type` is 'Recreate'"
        return [] if rolling is None else [forbidden(f"{field}.rollingUpdate", text)]
    if kind != "RollingUpdate":
        shown = {"Type": kind, "RollingUpdate": rolling}
        return [not_supported(field, shown, ("Recreate", "RollingUpdate"))]
    return [] if rolling is None else _rolling(f"{field}.rollingUpdate", rolling)


def _rolling(field: str, rolling: Object) -> list[FieldError]:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    found = names.int_or_percent(f"{field}.maxUnavailable", unavailable)
    found += names.int_or_percent(f"{field}.maxSurge", surge)
    if _is_zero(unavailable) and _is_zero(surge):
        found.append(invalid(f"{field}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    if isinstance(unavailable, str) and not found and int(unavailable[:-1]) > 100:
        found.append(invalid(f"{field}.maxUnavailable", unavailable, "must not be greater than 100%"))
    return found


def _is_zero(value: Any) -> bool:
    return value in (0, "0%", "0")


def replica_set(obj: Object) -> list[FieldError]:
    """Complain about a ReplicaSet."""
    spec = obj.get("spec") or {}
    found = _counts("spec", spec, "replicas", "minReadySeconds")
    found += _selected("spec", spec, "replicaset")
    found += template("spec.template", spec.get("template") or {})
    return found + _always("spec", spec)


def replication_controller(obj: Object) -> list[FieldError]:
    """Complain about a ReplicationController."""
    spec = obj.get("spec") or {}
    found = _counts("spec", spec, "replicas", "minReadySeconds")
    selector = spec.get("selector")
    if not selector:
        found.append(required("spec.selector"))
    if "template" not in spec:
        return [*found, required("spec.template")]
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    if selector and not matches({"matchLabels": selector}, labels):
        text = "`selector` does not match template `labels`"
        found.append(invalid("spec.template.metadata.labels", labels, text))
    return found + template("spec.template", spec["template"]) + _always("spec", spec)


def stateful_set(obj: Object) -> list[FieldError]:
    """Complain about a StatefulSet."""
    spec = obj.get("spec") or {}
    found: list[FieldError] = []
    policy = spec.get("podManagementPolicy")
    if policy not in ("OrderedReady", "Parallel"):
        text = "must be 'OrderedReady' or 'Parallel'"
        found.append(invalid("spec.podManagementPolicy", policy, text))
    found += _counts("spec", spec, "replicas", "minReadySeconds", "revisionHistoryLimit")
    found += _selected("spec", spec, "statefulset")
    return found + template("spec.template", spec.get("template") or {}) + _always("spec", spec)


def daemon_set(obj: Object) -> list[FieldError]:
    """Complain about a DaemonSet."""
    spec = obj.get("spec") or {}
    found = _selected("spec", spec, "daemonset")
    found += template("spec.template", spec.get("template") or {})
    return found + _always("spec", spec) + _counts("spec", spec, "minReadySeconds", "revisionHistoryLimit")


def job(obj: Object) -> list[FieldError]:
    """Complain about a Job; its selector is generated, so it is not asked for."""
    spec, uid = obj.get("spec") or {}, (obj.get("metadata") or {}).get("uid")
    return _generated_selector(spec, uid) + job_spec("spec", spec)


def _generated_selector(spec: Object, uid: Any) -> list[FieldError]:
    if spec.get("manualSelector") or spec.get("selector") is None or not uid:
        return []
    generated = [{"matchLabels": {prefix + "controller-uid": uid}} for prefix in ("batch.kubernetes.io/", "")]
    if spec["selector"] in generated:
        return []
    return [invalid("spec.selector", spec["selector"], "`selector` not auto-generated")]


def job_spec(field: str, spec: Object) -> list[FieldError]:
    """Complain about a Job's spec, wherever it stands."""
    found = _counts(
        field,
        spec,
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    )
    mode = spec.get("completionMode", "NonIndexed")
    if mode not in ("NonIndexed", "Indexed"):
        found.append(not_supported(f"{field}.completionMode", mode, ("Indexed", "NonIndexed")))
    if mode == "Indexed" and spec.get("completions") is None:
        found.append(required(f"{field}.completions", "when completion mode is Indexed"))
    if spec.get("manualSelector") and spec.get("selector") is None:
        found.append(required(f"{field}.selector"))
    elif spec.get("selector") is not None:
        found += names.selector(f"{field}.selector", spec["selector"])
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if not matches(spec["selector"], labels or {}):
            text = "`selector` does not match template `labels`"
            found.append(invalid(f"{field}.template.metadata.labels", labels or NIL, text))
    found += template(f"{field}.template", spec.get("template") or {})
    return found + _job_restart(f"{field}.template.spec.restartPolicy", spec)


def _job_restart(field: str, spec: Object) -> list[FieldError]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "Always")
    if policy == "Always":
        return [required(field, 'valid values: "OnFailure", "Never"')]
    return [] if policy in _JOB_RESTARTS else [not_supported(field, policy, _JOB_RESTARTS)]


def cron_job(obj: Object) -> list[FieldError]:
    """Complain about a CronJob."""
    spec = obj.get("spec") or {}
    name = (obj.get("metadata") or {}).get("name", "")
    found: list[FieldError] = []
    if len(name) > 52:  # a suffix of eleven characters makes the names of its Jobs
        found.append(invalid("metadata.name", name, "must be no more than 52 characters"))
    schedule = spec.get("schedule", "")
    if not schedule:
        found.append(required("spec.schedule"))
    elif not schedule.startswith("@") and len(schedule.split()) != 5:
        count = len(schedule.split())
        text = f"expected exactly 5 fields, found {count}: [{' '.join(schedule.split())}]"
        found.append(invalid("spec.schedule", schedule, text))
    policy = spec.get("concurrencyPolicy")
    if policy not in ("Allow", "Forbid", "Replace"):
        found.append(not_supported("spec.concurrencyPolicy", policy, ("Allow", "Forbid", "Replace")))
    keys = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    found += _counts("spec", spec, *keys)
    return found + job_spec("spec.jobTemplate.spec", (spec.get("jobTemplate") or {}).get("spec") or {})


def autoscaler(obj: Object) -> list[FieldError]:
    """Complain about a HorizontalPodAutoscaler."""
    spec = obj.get("spec") or {}
    found: list[FieldError] = []
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if least < 1:
        found.append(invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        found.append(invalid("spec.maxReplicas", most, "must be greater than 0"))
    if least > most:
        found.append(invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    return found + [required(f"spec.scaleTargetRef.{key}") for key in ("kind", "name") if not target.get(key)]


def budget(obj: Object) -> list[FieldError]:
    """Complain about a PodDisruptionBudget."""
    spec = obj.get("spec") or {}
    found: list[FieldError] = []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        found.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for key in ("minAvailable", "maxUnavailable"):
        if key in spec:
            found += names.int_or_percent(f"spec.{key}", spec[key])
    return found + names.selector("spec.selector", spec.get("selector"))
