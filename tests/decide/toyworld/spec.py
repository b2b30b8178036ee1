"""What the toy world is asked for: the service, its GPU types, the first instant, and spans of time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.service import Ingress, PodTemplate, ServiceSpec, Timing

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
L4, T4 = Accelerator("nvidia-l4"), Accelerator("nvidia-tesla-t4")


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


MINUTE = seconds(60)
SETTLED = seconds(300)


def make_spec(**changes) -> ServiceSpec:
    base = ServiceSpec(
        name="web",
        namespace="default",
        uid="uid-web",
        generation=1,
        replicas=1,
        accelerators=(L4, T4),
        pod=PodTemplate(image="demo:1", port=7860),
        capacity_types=(Capacity.SPOT, Capacity.ON_DEMAND),
        timing=Timing(
            attempt_deadline=timedelta(minutes=15),
            warmup_deadline=timedelta(minutes=15),
            stabilisation_window=timedelta(minutes=10),
            min_dwell=timedelta(minutes=10),
        ),
        ingress=Ingress(draining_seconds=60),
    )
    return replace(base, **changes)
