"""GPUBatch, `gpuhunter.dev/v1alpha1`: pictures to render once from a parameters file, wherever GPUs can be had.

It shares the words of a GPUService (accelerators, capacity types, regions, timing), so that who knows one knows both.
What has been rendered is cut into shards by `parameters`, `pictures` and `shardSize`; these must not change on the
way, which the decision checks, since a schema cannot.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator

from controlplane.api.checking import checked
from controlplane.api.durations import Duration
from controlplane.api.parse import metadata_problems, timing_of
from controlplane.api.sections import (
    Accelerators,
    CapacityTypes,
    EnvSpec,
    RegionsSpec,
    ResourcesSpec,
    ScratchSpec,
    Strict,
    TimingSpec,
    Usd,
    UsdAnHour,
)
from controlplane.model.batch import BatchSpec, SecretVariable
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.service import PodTemplate, Regions, Scratch

KIND = "GPUBatch"
SCHEMES = ("gs", "s3", "file")
_RESERVED = frozenset({"GPU_HUNTER_SHARDS", "GPU_HUNTER_TERMINATION_LOG"})


def _uri(value: str, what: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in SCHEMES or (parts.scheme != "file" and not parts.netloc):
        raise ValueError(f'"{value}" is no {what}; write gs://BUCKET/PATH, s3://BUCKET/PATH or file:///PATH')
    if parts.username or parts.password or parts.query:
        raise ValueError(
            f"the {what} holds credentials or a query; leave them out, access is granted to the service account"
        )
    if ".." in parts.path.split("/"):
        raise ValueError(f'"{value}" has a ".." in its path; write the path that is meant')
    return value


class SecretSpec(Strict):
    """An environment variable from a Secret of the member clusters, such as a model hub's token."""

    name: StrictStr = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=253, description="Name of the variable.")
    secret: StrictStr = Field(
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253, description="Name of the Secret."
    )
    key: StrictStr = Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253, description="Key in the Secret.")


class WorkerSpec(Strict):
    """The container that renders: the image of the Stable Diffusion Web UI."""

    image: StrictStr = Field(min_length=1, max_length=1024, pattern=r"^\S+$", description="Container image.")
    command: list[StrictStr] = Field(
        default_factory=list, description="Instead of the image's entry point; `render ...` follows it."
    )
    env: list[EnvSpec] = Field(default_factory=list, description="Environment, such as MODEL_URI.")
    secrets: list[SecretSpec] = Field(default_factory=list, max_length=32, description="Environment from Secrets.")
    service_account: StrictStr | None = Field(
        default=None,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Of the member clusters, as which workers reach the bucket. Default: the namespace's own.",
    )
    resources: ResourcesSpec = Field(default_factory=ResourcesSpec, description="Requests besides the GPUs.")
    run_as_user: StrictInt = Field(default=1000, ge=1, le=2147483647, description="User and group id; never root.")
    read_only_root_filesystem: StrictBool = Field(
        default=False, description="The container can write nowhere but in its scratch folders."
    )
    scratch: list[ScratchSpec] = Field(default_factory=list, max_length=8, description="Folders to write in.")
    termination_grace: Duration = Field(
        default=timedelta(seconds=25), description="From the end being announced to SIGKILL. Spot allows about 25s."
    )

    @model_validator(mode="after")
    def _once(self) -> "WorkerSpec":
        names = [item.name for item in self.env] + [item.name for item in self.secrets]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f'"{double}" is set twice; keep one of them')
        if taken := next((name for name in names if name in _RESERVED), None):
            raise ValueError(f'"{taken}" is set by GPU Hunter; remove it')
        return self


class GPUBatchSpec(Strict):
    """What the user wants rendered."""

    parameters: StrictStr = Field(
        max_length=1024,
        description="URI of the parameters file: gs://, s3:// or file://. A folder, with / at its end, is an inbox: "
        "every file that is dropped there becomes a GPUBatch with all else as it is here.",
    )
    output: StrictStr = Field(max_length=1024, description="URI of the folder for the results.")
    pictures: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="How many pictures the file asks for. Leave out to have it counted."
    )
    shard_size: StrictInt = Field(
        default=20, ge=1, le=10_000, description="Pictures that one worker renders in one go."
    )
    parallelism: StrictInt = Field(default=1, ge=1, le=1000, description="Workers at once, over all regions.")
    deadline: Duration | None = Field(default=None, description="Ended as failed when it takes longer than this.")
    max_cost: Usd | None = Field(
        default=None, description="USD in all; ended before more than this is spent. Leave out for none."
    )
    max_hourly_cost: UsdAnHour | None = Field(
        default=None, description="USD an hour over all GPUs held or asked for. Leave out for none."
    )
    retries: StrictInt = Field(default=3, ge=0, le=20, description="How often a shard is tried again in one region.")
    accelerators: Accelerators = Field(description="GPU types, preferred first.")
    capacity_types: CapacityTypes = Field(
        default=["spot", "on-demand"], description="How capacity is bought, preferred first."
    )
    regions: RegionsSpec = Field(default_factory=RegionsSpec, description="Where GPUs may be.")
    timing: TimingSpec = Field(default_factory=TimingSpec, description="How patient the hunt is.")
    worker: WorkerSpec = Field(description="What renders.")
    paused: StrictBool = Field(default=False, description="Nothing is written for it while this is true.")

    @field_validator("parameters")
    @classmethod
    def _parameters(cls, value: str) -> str:
        return _uri(value, "URI of a file or folder")

    @field_validator("output")
    @classmethod
    def _output(cls, value: str) -> str:
        return _uri(value, "URI of a folder").rstrip("/")

    @model_validator(mode="after")
    def _apart(self) -> "GPUBatchSpec":
        if self.parameters.endswith("/"):
            if f"{self.output}/".startswith(self.parameters):
                raise ValueError("output is inside the inbox; name a folder beside it")
            if self.pictures is not None:
                raise ValueError("pictures is for one file, and parameters names a folder; leave pictures out")
        return self


def parse_batch(obj: Mapping[str, Any], *, source: str = "") -> BatchSpec:
    """Check a GPUBatch and give its values. Raises SpecError that lists everything wrong at once."""
    spec = checked(obj, KIND, GPUBatchSpec, metadata_problems(obj.get("metadata")), source=source)
    metadata, regions = obj["metadata"], spec.regions
    return BatchSpec(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        parameters=spec.parameters,
        output=spec.output,
        pictures=spec.pictures or 0,
        accelerators=tuple(Accelerator(a.type, a.count) for a in spec.accelerators),
        pod=_pod(spec.worker),
        created_at=_instant(metadata.get("creationTimestamp")),
        shard_size=spec.shard_size,
        parallelism=spec.parallelism,
        retries=spec.retries,
        capacity_types=tuple(Capacity(c) for c in spec.capacity_types),
        regions=Regions(None if regions.allowed is None else frozenset(regions.allowed), frozenset(regions.denied)),
        timing=timing_of(spec.timing),
        secrets=tuple(SecretVariable(item.name, item.secret, item.key) for item in spec.worker.secrets),
        service_account=spec.worker.service_account or "",
        deadline=spec.deadline,
        max_cost=spec.max_cost,
        max_hourly_cost=spec.max_hourly_cost,
        paused=spec.paused,
        deleting="deletionTimestamp" in metadata,
    )


def _pod(worker: WorkerSpec) -> PodTemplate:
    return PodTemplate(
        image=worker.image,
        port=0,
        command=tuple(worker.command),
        env=tuple({"name": item.name, "value": item.value} for item in worker.env),
        requests=worker.resources.model_dump(by_alias=True),
        termination_grace_seconds=round(worker.termination_grace.total_seconds()),
        pre_stop_seconds=0,
        run_as_user=worker.run_as_user,
        read_only_root=worker.read_only_root_filesystem,
        scratch=tuple(Scratch(item.path, item.size) for item in worker.scratch),
    )


def _instant(text: object) -> datetime | None:
    """Read what the API server wrote; None in a file that was not applied yet."""
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None
