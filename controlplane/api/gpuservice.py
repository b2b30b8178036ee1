"""GPUService, `gpuhunter.dev/v1alpha1`: the one source of its defaults, its checks and its CRD schema.

The schema that the API server enforces is made from these models (`crd.py`), so a file that passes here passes there.
What a schema cannot say (a region both allowed and denied, a back-off that ends before it begins) is checked here only.
"""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator

from controlplane.api.autoscaling import AutoscalingSpec
from controlplane.api.durations import Duration
from controlplane.api.ingress import IngressSpec
from controlplane.api.sections import (
    Accelerators,
    CapacityTypes,
    EnvSpec,
    RegionsSpec,
    ResourcesSpec,
    ScratchSpec,
    Strict,
    TimingSpec,
    UsdAnHour,
)


class SpreadSpec(Strict):
    """How the replicas lie over regions."""

    min_regions: StrictInt = Field(default=1, ge=1, le=50, description="Serve from at least this many regions.")
    max_replicas_per_region: Annotated[StrictInt, Field(ge=1, le=1000)] | None = Field(
        default=None, description="No region holds more replicas than this."
    )


class PolicySpec(Strict):
    """What is valued, and so what may be paid to avoid it. Without it, a replica that is missing costs nothing."""

    preset: Literal["frugal", "balanced", "available"] | None = Field(
        default=None,
        description="What counts more: little cost, both alike, or that every replica serves at all times.",
    )
    missing_replica_cost: UsdAnHour | None = Field(
        default=None,
        description="USD for each hour in which a replica that is wanted does not serve. Overrides the preset's.",
    )
    max_spares: Annotated[StrictInt, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="Replicas beyond those wanted that may be held to bridge losses; 0 for none. "
        "Leave out to have the policy choose.",
    )


class HttpGetSpec(Strict):
    """An HTTP probe of the app's port."""

    path: StrictStr = Field(default="/", pattern=r"^/", max_length=1024, description="Path; 200 to 399 is well.")


class ProbeSpec(Strict):
    """A probe of the app. GPU Hunter always asks the app's own port."""

    http_get: HttpGetSpec = Field(default_factory=HttpGetSpec, description="What is asked.")
    period_seconds: StrictInt = Field(default=10, ge=1, le=3600, description="How often.")
    timeout_seconds: StrictInt = Field(default=5, ge=1, le=3600, description="How long an answer may take.")
    failure_threshold: StrictInt = Field(default=3, ge=1, le=10000, description="Failures in a row until it counts.")
    success_threshold: StrictInt = Field(default=1, ge=1, le=100, description="Successes in a row until it counts.")
    initial_delay_seconds: StrictInt = Field(default=0, ge=0, le=3600, description="Rest before the first one.")


class ModelSpec(Strict):
    """A model that every Pod reads and none can write, mounted instead of downloaded."""

    path: StrictStr = Field(pattern=r"^/[^:]*[^:/]$", max_length=1024, description="Where the app finds it.")
    bucket: StrictStr | None = Field(
        default=None,
        pattern=r"^[a-z0-9][-a-z0-9_.]{1,220}[a-z0-9]$",
        description="Bucket of Cloud Storage, read with Cloud Storage FUSE; the app's service account must be let in.",
    )
    prefix: StrictStr | None = Field(
        default=None,
        max_length=1024,
        pattern=r"^[^/,\s][^,\s]*[^/,\s]$",
        description="Folder in the bucket. Leave out for the whole.",
    )
    claim: StrictStr | None = Field(
        default=None,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="PersistentVolumeClaim that many may read, of this name in every cluster, instead of a bucket.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "ModelSpec":
        if (self.bucket is None) == (self.claim is None):
            raise ValueError("a model comes from a bucket or from a claim; set one of the two")
        if self.prefix is not None and self.bucket is None:
            raise ValueError("prefix is a folder of a bucket; set bucket, or leave prefix out")
        return self


class PodSpec(Strict):
    """The app's container."""

    image: StrictStr = Field(min_length=1, max_length=1024, pattern=r"^\S+$", description="Container image.")
    port: StrictInt = Field(default=7860, ge=1, le=65535, description="Port the app serves HTTP on.")
    command: list[StrictStr] = Field(default_factory=list, description="Instead of the image's entry point.")
    args: list[StrictStr] = Field(default_factory=list, description="Instead of the image's arguments.")
    env: list[EnvSpec] = Field(default_factory=list, description="Environment of the app.")
    resources: ResourcesSpec = Field(default_factory=ResourcesSpec, description="Requests besides the GPUs.")
    run_as_user: StrictInt = Field(
        default=1000, ge=1, le=2147483647, description="User and group id that the app runs as; never root."
    )
    read_only_root_filesystem: StrictBool = Field(
        default=False, description="The app can write nowhere but in its scratch folders."
    )
    scratch: list[ScratchSpec] = Field(
        default_factory=list, max_length=8, description="Folders to write in, such as /tmp and a cache."
    )
    google_service_account: StrictStr | None = Field(
        default=None,
        max_length=253,
        pattern=r"^[a-z0-9][-a-z0-9]*@[-a-z0-9.:]+\.gserviceaccount\.com$",
        description="Google service account that the app acts as (workload identity). It is let at the metadata server "
        "then. Allow it once: roles/iam.workloadIdentityUser for PROJECT.svc.id.goog[NAMESPACE/NAME].",
    )
    model: ModelSpec | None = Field(default=None, description="A model to mount read-only. Leave out to bring one.")
    startup_probe: ProbeSpec | None = Field(
        default=None, description="Default: the ingress' health path, 15 minutes or the warmupDeadline if longer."
    )
    readiness_probe: ProbeSpec | None = Field(default=None, description="Default: the ingress' health path.")
    liveness_probe: ProbeSpec | None = Field(default=None, description="Default: none.")
    termination_grace: Duration = Field(
        default=timedelta(seconds=25), description="From the end being announced to SIGKILL. Spot allows about 25s."
    )
    pre_stop: Duration = Field(
        default=timedelta(seconds=5), description="The app serves on this long while the load balancer takes it out."
    )

    @model_validator(mode="after")
    def _grace(self) -> "PodSpec":
        if self.pre_stop >= self.termination_grace:
            raise ValueError("preStop uses up the whole terminationGrace; give terminationGrace more than preStop")
        return self

    @model_validator(mode="after")
    def _places(self) -> "PodSpec":
        if self.model is not None and self.model.path in [item.path for item in self.scratch]:
            raise ValueError(f'"{self.model.path}" is both a scratch folder and the model\'s; give each its own')
        return self

    @field_validator("scratch")
    @classmethod
    def _apart(cls, value: list[ScratchSpec]) -> list[ScratchSpec]:
        paths = [item.path for item in value]
        if double := next((path for path in paths if paths.count(path) > 1), None):
            raise ValueError(f'"{double}" is named twice; keep one of them')
        return value

    @field_validator("env")
    @classmethod
    def _once(cls, value: list[EnvSpec]) -> list[EnvSpec]:
        names = [item.name for item in value]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f'"{double}" is set twice; keep one of them')
        return value


class GPUServiceSpec(Strict):
    """What the user wants."""

    replicas: StrictInt = Field(default=1, ge=1, le=1000, description="How many Pods are to serve.")
    accelerators: Accelerators = Field(description="GPU types, preferred first.")
    capacity_types: CapacityTypes = Field(
        default=["spot", "on-demand"], description="How capacity is bought, preferred first."
    )
    regions: RegionsSpec = Field(default_factory=RegionsSpec, description="Where GPUs may be.")
    spread: SpreadSpec = Field(default_factory=SpreadSpec, description="How replicas lie over regions.")
    max_hourly_cost: UsdAnHour | None = Field(
        default=None, description="Hard cap in USD an hour over all GPUs held or asked for. Leave out for none."
    )
    policy: PolicySpec = Field(default_factory=PolicySpec, description="What is valued: low cost, or availability.")
    timing: TimingSpec = Field(default_factory=TimingSpec, description="How patient the hunt is.")
    pod: PodSpec = Field(description="The app.")
    ingress: IngressSpec = Field(default_factory=IngressSpec, description="How the world reaches it.")
    autoscaling: AutoscalingSpec | None = Field(
        default=None, description="How placements grow by load beyond what is wanted. Leave out for a fixed number."
    )
    paused: StrictBool = Field(default=False, description="Leave everything as it is and write nothing.")

    @model_validator(mode="after")
    def _possible(self) -> "GPUServiceSpec":
        if self.spread.min_regions > self.replicas:
            raise ValueError("spread.minRegions is more than replicas; raise replicas or lower spread.minRegions")
        allowed = self.regions.allowed
        if allowed is not None:
            usable = len(set(allowed) - set(self.regions.denied))
            if usable < self.spread.min_regions:
                raise ValueError("spread.minRegions is more than the allowed regions; allow more regions or lower it")
            most = self.spread.max_replicas_per_region
            if most is not None and usable * most < self.replicas:
                raise ValueError(
                    "the allowed regions cannot hold all replicas at spread.maxReplicasPerRegion; raise it"
                )
        return self

    @model_validator(mode="after")
    def _growing(self) -> "GPUServiceSpec":
        if self.autoscaling is None:
            return self
        most, held = self.autoscaling.max_replicas, self.spread.max_replicas_per_region
        alone = min(self.replicas - self.spread.min_regions + 1, held or self.replicas)
        if most < alone:
            text = f"autoscaling.maxReplicas is {most}, and {alone} may be wanted of one placement; raise it to that"
            raise ValueError(text)
        if held is not None and most > held:
            raise ValueError(
                f"autoscaling.maxReplicas is {most}, and spread.maxReplicasPerRegion is {held}; lower it to that"
            )
        return self
