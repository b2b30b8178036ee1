"""The sections that a GPUService and a GPUBatch have in common, so that who knows one kind knows the other."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from controlplane.api.catalogue import ACCELERATORS, COUNTS, REGIONS
from controlplane.api.durations import Duration
from controlplane.api.problems import did_you_mean

QUANTITY = r"^([0-9]+(\.[0-9]+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
Items = TypeVar("Items", bound=Sequence[Any])


class Strict(BaseModel):
    """Unknown keys are errors; keys are camelCase, as everywhere in Kubernetes."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, allow_inf_nan=False
    )


def _number_of(unit: str) -> BeforeValidator:
    """Refuse what pydantic would take for a number: a text such as "2.5", true and false."""

    def checked(value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        raise ValueError(f"write it as a number of {unit}, such as 2.5, without quotes or units")

    return BeforeValidator(checked)


def _each_once(value: Items) -> Items:
    for index, item in enumerate(value):
        if item in value[:index]:
            raise ValueError(f"entry {index + 1} repeats an earlier one; the order is the preference, name each once")
    return value


class AcceleratorSpec(Strict):
    """A GPU type and how many of them one Pod takes."""

    type: StrictStr = Field(description="GPU type as GKE labels it, for example nvidia-l4.")
    count: StrictInt = Field(default=1, ge=1, le=8, description="GPUs per Pod: 1, 2, 4 or 8.")

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ACCELERATORS:
            advice = did_you_mean(value, ACCELERATORS, f"use one of {', '.join(sorted(ACCELERATORS))}")
            raise ValueError(f'"{value}" is not a GPU type of GKE; {advice}')
        return value

    @field_validator("count")
    @classmethod
    def _countable(cls, value: int) -> int:
        if value not in COUNTS:
            raise ValueError(f"{value} GPUs a Pod is not a node shape of GKE; use 1, 2, 4 or 8")
        return value


Usd = Annotated[float, Field(gt=0, le=1e9, strict=False), _number_of("USD")]
UsdAnHour = Annotated[float, Field(gt=0, le=1e6, strict=False), _number_of("USD an hour")]
Accelerators = Annotated[list[AcceleratorSpec], Field(min_length=1, max_length=16), AfterValidator(_each_once)]
CapacityTypes = Annotated[
    list[Literal["on-demand", "spot", "flex-start"]], Field(min_length=1, max_length=3), AfterValidator(_each_once)
]


class RegionsSpec(Strict):
    """Where GPUs may be. Failover never leaves these bounds."""

    allowed: Annotated[list[StrictStr], Field(min_length=1)] | None = Field(
        default=None, description="Only these regions are ever used. Leave out for all regions of the fleet."
    )
    denied: list[StrictStr] = Field(default_factory=list, description="These regions are never used.")

    @field_validator("allowed", "denied")
    @classmethod
    def _known(cls, value: list[str] | None) -> list[str] | None:
        for region in value or ():
            if region not in REGIONS:
                advice = did_you_mean(region, REGIONS, "see `gcloud compute regions list`")
                raise ValueError(f'"{region}" is not a region of Google Cloud; {advice}')
        return value

    @model_validator(mode="after")
    def _something_left(self) -> "RegionsSpec":
        if self.allowed is not None and not set(self.allowed) - set(self.denied):
            raise ValueError("every allowed region is also denied; leave at least one region that may be used")
        return self


class BackoffSpec(Strict):
    """How long an offering that refused is left alone. GKE's own autoscaler backs off 5 to 30 minutes."""

    initial: Duration = Field(default=timedelta(minutes=5), description="After the first failure.")
    max: Duration = Field(default=timedelta(minutes=30), description="It doubles up to this.")

    @model_validator(mode="after")
    def _ordered(self) -> "BackoffSpec":
        if self.max < self.initial:
            raise ValueError("max is shorter than initial; raise max or lower initial")
        return self


class TimingSpec(Strict):
    """How patient the hunt is. Every duration is text with a unit: 90s, 15m, 1h30m."""

    attempt_deadline: Duration = Field(
        default=timedelta(minutes=15),
        description="How long an attempt may wait for its GPU (provisioning takes up to 15m).",
    )
    warmup_deadline: Duration = Field(
        default=timedelta(minutes=15), description="How long a Pod that has its GPU may take until it serves."
    )
    backoff: BackoffSpec = Field(default_factory=BackoffSpec, description="Rest of an offering after a failure.")
    stabilisation_window: Duration = Field(
        default=timedelta(minutes=10),
        description="How long all must be well before the service moves to what it prefers.",
    )
    min_dwell: Duration = Field(default=timedelta(minutes=10), description="A placement is not left sooner than this.")
    unreachable_grace: Duration = Field(
        default=timedelta(minutes=3), description="How long a silent region counts as serving before it is replaced."
    )


class ResourcesSpec(Strict):
    """What a Pod requests besides its GPUs."""

    model_config = ConfigDict(extra="forbid", alias_generator=None, allow_inf_nan=False)

    cpu: StrictStr = Field(default="3500m", pattern=QUANTITY, description="CPU of one Pod.")
    memory: StrictStr = Field(default="12Gi", pattern=QUANTITY, description="Memory of one Pod.")
    ephemeral_storage: StrictStr = Field(
        default="30Gi", pattern=QUANTITY, alias="ephemeral-storage", description="Disk of one Pod, its image included."
    )

    @field_validator("cpu", "memory", "ephemeral_storage")
    @classmethod
    def _positive(cls, value: str) -> str:
        if not re.search(r"[1-9]", value):
            raise ValueError(f'"{value}" asks for nothing; give an amount above zero')
        return value


class EnvSpec(Strict):
    """One environment variable of the app."""

    name: StrictStr = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=253, description="Name of the variable.")
    value: StrictStr = Field(description="Its value, which may be empty. Secrets belong into a Secret, not here.")


class ScratchSpec(Strict):
    """An empty folder of the Pod's own, gone when the Pod goes."""

    path: StrictStr = Field(pattern=r"^/[^:]*[^:/]$", max_length=1024, description="Where the app finds it.")
    size: Annotated[StrictStr, Field(pattern=QUANTITY)] | None = Field(
        default=None, description="A Pod that writes more is evicted. Leave out for the Pod's ephemeral storage."
    )
