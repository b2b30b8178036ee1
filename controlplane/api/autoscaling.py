"""The `autoscaling` section of a GPUService: how far placements may grow by load, and by what it is measured.

CPU is the one figure that every cluster has by itself. It says little of a GPU, so what the app tells about itself may
be named instead or besides, in the shape of autoscaling/v2: metrics of the Pods (`Pods`) or of Cloud Monitoring
(`External`), which an adapter brings into the cluster. Those about single containers, other objects or memory are left
out: nothing of a GPU service scales well by them.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr, WithJsonSchema, model_validator

from controlplane.api.sections import QUANTITY, Strict

DEFAULT_CPU = 25
"""Percent. Who renders on a GPU keeps one core busy with feeding it, which is 29 % of the 3500m that a Pod requests by
default: a target much above that would never be reached, however long the queue."""

Amount = Annotated[StrictStr, Field(pattern=QUANTITY)]
Labels = Annotated[
    dict[str, StrictStr], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]


class SelectorSpec(Strict):
    """Which series of a metric are meant."""

    match_labels: Labels = Field(default_factory=dict, description="Labels of the metric.")


class MetricNameSpec(Strict):
    """A metric as its adapter names it."""

    name: StrictStr = Field(
        min_length=1,
        max_length=253,
        pattern=r"^\S+$",
        description="Such as prometheus.googleapis.com|webui_queue_depth|gauge.",
    )
    selector: SelectorSpec | None = Field(default=None, description="Which of its series. Leave out for all.")


class AverageSpec(Strict):
    """What one Pod is to have of it, on average."""

    type: Literal["AverageValue"] = Field(default="AverageValue", description="The amount is that of one Pod.")
    average_value: Amount = Field(description="The amount, such as 5 or 500m.")


class AmountSpec(Strict):
    """What there is to be of it, in all or for each Pod."""

    type: Literal["AverageValue", "Value"] = Field(default="AverageValue", description="For each Pod, or in all.")
    average_value: Amount | None = Field(default=None, description="The amount for each Pod.")
    value: Amount | None = Field(default=None, description="The amount in all.")

    @model_validator(mode="after")
    def _one(self) -> "AmountSpec":
        key, other = ("averageValue", self.value) if self.type == "AverageValue" else ("value", self.average_value)
        amount = self.average_value if self.type == "AverageValue" else self.value
        if amount is None or other is not None:
            raise ValueError(f"a target of type {self.type} has {key} and no other amount; set {key} alone")
        return self


class PodsMetricSpec(Strict):
    """A metric that each Pod has."""

    metric: MetricNameSpec = Field(description="The metric.")
    target: AverageSpec = Field(description="How much of it one Pod is to have.")


class ExternalMetricSpec(Strict):
    """A metric from outside of the cluster."""

    metric: MetricNameSpec = Field(description="The metric.")
    target: AmountSpec = Field(description="How much of it there is to be.")


class MetricSpec(Strict):
    """One metric, as autoscaling/v2 writes it."""

    type: Literal["Pods", "External"] = Field(description="Of the Pods, or from outside of the cluster.")
    pods: PodsMetricSpec | None = Field(default=None, description="With type Pods.")
    external: ExternalMetricSpec | None = Field(default=None, description="With type External.")

    @model_validator(mode="after")
    def _of_its_type(self) -> "MetricSpec":
        key = self.type.lower()
        if [name for name in ("pods", "external") if getattr(self, name) is not None] != [key]:
            raise ValueError(f"a metric of type {self.type} is described under {key} and nowhere else; write {key}:")
        return self

    def wire(self) -> Mapping[str, object]:
        """Give it as the API server takes it."""
        return self.model_dump(by_alias=True, exclude_none=True)


class AutoscalingSpec(Strict):
    """How a placement that serves grows by its load; what is wanted (`replicas`) it has in any case."""

    max_replicas: StrictInt = Field(
        ge=1, le=1000, description="No placement grows beyond this. The caps count it as if it had."
    )
    target_cpu_utilization: Annotated[StrictInt, Field(ge=1, le=1000)] | None = Field(
        default=None,
        alias="targetCPUUtilization",
        description=f"Percent of the CPU that a Pod requests. Without it and without metrics: {DEFAULT_CPU}.",
    )
    metrics: list[MetricSpec] = Field(
        default_factory=list, max_length=8, description="Metrics to scale by; the one that asks for most decides."
    )

    @property
    def cpu(self) -> int | None:
        """The percentage in force; None where CPU is not looked at."""
        return DEFAULT_CPU if self.target_cpu_utilization is None and not self.metrics else self.target_cpu_utilization
