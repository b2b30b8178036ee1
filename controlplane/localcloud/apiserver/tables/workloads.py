"""Rows of Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs, autoscalers and disruption budgets."""

from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.tables.age import age, duration, parse_time
from controlplane.localcloud.apiserver.tables.columns import (
    NONE,
    UNKNOWN,
    Printer,
    containers_of,
    created,
    labels_text,
    name_of,
    printer,
    selector_text,
)


def _parts(obj: Object) -> tuple[Object, Object]:
    return obj.get("spec") or {}, obj.get("status") or {}


def _deployment(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    names, images = containers_of(spec.get("template"))
    return [
        name_of(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(created(obj), now),
        names,
        images,
        selector_text(spec.get("selector")),
    ]


def _replica_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    names, images = containers_of(spec.get("template"))
    return [
        name_of(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(created(obj), now),
        names,
        images,
        selector_text(spec.get("selector")),
    ]


def _replication_controller(obj: Object, now: datetime) -> list[Any]:
    spec, _ = _parts(obj)
    return [*_replica_set(obj, now)[:-1], labels_text(spec.get("selector"))]


def _stateful_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    names, images = containers_of(spec.get("template"))
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [name_of(obj), ready, age(created(obj), now), names, images]


def _daemon_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    names, images = containers_of(spec.get("template"))
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    node_selector = labels_text(((spec.get("template") or {}).get("spec") or {}).get("nodeSelector"))
    return [
        name_of(obj),
        *(status.get(count, 0) for count in counts),
        node_selector,
        age(created(obj), now),
        names,
        images,
        selector_text(spec.get("selector")),
    ]


def _job_status(obj: Object) -> str:
    status = obj.get("status") or {}
    true = {one.get("type") for one in status.get("conditions") or () if one.get("status") == "True"}
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if kind in true:
            return word
    if (obj.get("metadata") or {}).get("deletionTimestamp"):
        return "Terminating"
    if "Suspended" in true:
        return "Suspended"
    for kind, word in (("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet")):
        if kind in true:
            return word
    return "Running"


def _job(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    names, images = containers_of(spec.get("template"))
    succeeded, parallel = status.get("succeeded", 0), spec.get("parallelism", 0)
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    else:
        completions = f"{succeeded}/1 of {parallel}" if parallel > 1 else f"{succeeded}/1"
    started, finished = parse_time(status.get("startTime")), parse_time(status.get("completionTime"))
    took = ""
    if started is not None:
        took = duration((finished or now) - started)
    return [
        name_of(obj),
        _job_status(obj),
        completions,
        took,
        age(created(obj), now),
        names,
        images,
        selector_text(spec.get("selector")),
    ]


def _cron_job(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    template = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template")
    names, images = containers_of(template)
    last = status.get("lastScheduleTime")
    return [
        name_of(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        "True" if spec.get("suspend") else "False",
        len(status.get("active") or ()),
        age(last, now) if last else NONE,
        age(created(obj), now),
        names,
        images,
        selector_text(((spec.get("jobTemplate") or {}).get("spec") or {}).get("selector")),
    ]


def _metric(spec: Object, current: Object | None) -> str:
    kind = spec.get("type", "")
    source = kind[:1].lower() + kind[1:]
    target = (spec.get(source) or {}).get("target") or {}
    value = ((current or {}).get(source) or {}).get("current") or {}
    if target.get("averageUtilization") is not None:
        now_text = value.get("averageUtilization")
        shown = UNKNOWN if now_text is None else f"{now_text}%"
        return f"{(spec.get(source) or {}).get('name', '')}: {shown}/{target['averageUtilization']}%"
    key = "averageValue" if "averageValue" in target else "value"
    suffix = " (avg)" if key == "averageValue" and kind in ("External", "Object") else ""
    text = f"{value.get(key) or UNKNOWN}/{target.get(key, '')}{suffix}"
    return f"{(spec.get(source) or {}).get('name', '')}: {text}" if kind == "Resource" else text


def _autoscaler(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    target = spec.get("scaleTargetRef") or {}
    current = status.get("currentMetrics") or []
    metrics = [
        _metric(one, current[index] if index < len(current) else None)
        for index, one in enumerate(spec.get("metrics") or ())
    ]
    shown = ", ".join(metrics[:2]) + (f" + {len(metrics) - 2} more..." if len(metrics) > 2 else "")
    return [
        name_of(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        shown or NONE,
        spec.get("minReplicas", "<unset>"),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age(created(obj), now),
    ]


def _budget(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    return [
        name_of(obj),
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        status.get("disruptionsAllowed", 0),
        age(created(obj), now),
    ]


_TEMPLATE = ("+Containers", "+Images", "+Selector")
WORKLOADS: dict[tuple[str, str], Printer] = {
    ("apps", "Deployment"): printer(_deployment, "Name", "Ready", "Up-to-date", "Available", "Age", *_TEMPLATE),
    ("apps", "ReplicaSet"): printer(
        _replica_set, "Name", "Desired:integer", "Current:integer", "Ready:integer", "Age", *_TEMPLATE
    ),
    ("", "ReplicationController"): printer(
        _replication_controller, "Name", "Desired:integer", "Current:integer", "Ready:integer", "Age", *_TEMPLATE
    ),
    ("apps", "StatefulSet"): printer(_stateful_set, "Name", "Ready", "Age", "+Containers", "+Images"),
    ("apps", "DaemonSet"): printer(
        _daemon_set,
        "Name",
        "Desired:integer",
        "Current:integer",
        "Ready:integer",
        "Up-to-date:integer",
        "Available:integer",
        "Node Selector",
        "Age",
        *_TEMPLATE,
    ),
    ("batch", "Job"): printer(_job, "Name", "Status", "Completions", "Duration", "Age", *_TEMPLATE),
    ("batch", "CronJob"): printer(
        _cron_job,
        "Name",
        "Schedule",
        "Timezone",
        "Suspend:boolean",
        "Active:integer",
        "Last Schedule",
        "Age",
        *_TEMPLATE,
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): printer(
        _autoscaler, "Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"
    ),
    ("policy", "PodDisruptionBudget"): printer(
        _budget, "Name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"
    ),
}
