"""GPUService, `gpuhunter.dev/v1alpha1`: the one source of its defaults, its checks and its CRD schema.

The schema that the API server enforces is made from these models (`crd.py`), so a file that passes here passes there.
What a schema cannot say (a region both allowed and denied, a back-off that ends before it begins) is checked here only.
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator
from pydantic.alias_generators import to_camel

from controlplane.api.catalogue import ACCELERATORS, COUNTS, REGIONS
from controlplane.api.durations import Duration
from controlplane.api.problems import did_you_mean

QUANTITY = r"^([0-9]+(\.[0-9]+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


class Strict(BaseModel):
    """Unknown keys are errors; keys are camelCase, as everywhere in Kubernetes."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, allow_inf_nan=False
    )


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
    missing_replica_cost: Annotated[float, Field(gt=0, le=1e6, strict=False)] | None = Field(
        default=None,
        description="USD for each hour in which a replica that is wanted does not serve. Overrides the preset's.",
    )
    max_spares: Annotated[StrictInt, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="Replicas beyond those wanted that may be held to bridge losses; 0 for none. "
        "Leave out to have the policy choose.",
    )

    @field_validator("missing_replica_cost", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError("write it as a number of USD an hour, such as 2.5, without quotes or units")
        return value


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


class ScratchSpec(Strict):
    """An empty folder of the Pod's own, gone when the Pod goes."""

    path: StrictStr = Field(pattern=r"^/[^:]*[^:/]$", max_length=1024, description="Where the app finds it.")
    size: Annotated[StrictStr, Field(pattern=QUANTITY)] | None = Field(
        default=None, description="A Pod that writes more is evicted. Leave out for the Pod's ephemeral storage."
    )


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


RESOURCE_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
_ResourceName = Annotated[StrictStr, Field(max_length=63, pattern=RESOURCE_NAME)]


class HttpsSpec(Strict):
    """How the address speaks HTTPS. Certificates are the project's; no key ever passes through here."""

    certificates: list[_ResourceName] = Field(
        default_factory=list,
        max_length=15,
        description="Names of SSL certificates of the project (`gcloud compute ssl-certificates list`), the default "
        "one first.",
    )
    certificate_map: _ResourceName | None = Field(
        default=None,
        description="Name of a certificate map of Certificate Manager, for MultiClusterGateway, in place of these.",
    )
    ssl_policy: _ResourceName | None = Field(
        default=None, description="Name of an SSL policy of the project, which says what TLS is spoken."
    )
    redirect: StrictBool = Field(default=True, description="Send who comes by HTTP to HTTPS.")

    @field_validator("certificates")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        if double := next((name for name in value if value.count(name) > 1), None):
            raise ValueError(f'"{double}" is named twice; keep one of them')
        return value

    @model_validator(mode="after")
    def _some(self) -> "HttpsSpec":
        if not self.certificates and not self.certificate_map:
            raise ValueError("no certificate is named; name at least one in certificates")
        return self


class IapSpec(Strict):
    """Identity-Aware Proxy: only people and accounts that the project lets in reach the app."""

    oauth_secret: StrictStr = Field(
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Name of the Secret in the config cluster, in the service's namespace, that holds the OAuth "
        "client: client_id and client_secret for MultiClusterIngress, key (the secret) for MultiClusterGateway.",
    )
    client_id: StrictStr | None = Field(
        default=None,
        max_length=256,
        pattern=r"^[!-~]+$",
        description="Id of the OAuth client, for MultiClusterGateway. It is no secret.",
    )


class IngressSpec(Strict):
    """How the world reaches the service."""

    kind: Literal["MultiClusterIngress", "MultiClusterGateway"] = Field(
        default="MultiClusterIngress",
        description="What wires the regions into one address. When it is changed, the new wiring serves before the "
        "old one is taken down.",
    )
    static_address: StrictStr | None = Field(
        default=None,
        min_length=1,
        description="Reserved global IP address (the address itself, not its name), for MultiClusterIngress.",
    )
    static_address_name: StrictStr | None = Field(
        default=None,
        max_length=63,
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        description="Name of a reserved global IP address, for MultiClusterGateway; another one than staticAddress.",
    )
    host: StrictStr | None = Field(
        default=None,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Host name served. A MultiClusterGateway then answers 404 to other hosts.",
    )
    health_path: StrictStr = Field(
        default="/", pattern=r"^/", max_length=1024, description="Asked by the load balancer."
    )
    timeout: Duration = Field(
        default=timedelta(minutes=5), description="Longest request; longer than the longest render."
    )
    draining: Duration = Field(
        default=timedelta(minutes=5), description="Time that requests get when a region is left."
    )
    check_interval: Duration = Field(default=timedelta(seconds=15), description="How often the load balancer asks.")
    https: HttpsSpec | None = Field(default=None, description="Leave out to speak HTTP alone.")
    security_policy: _ResourceName | None = Field(
        default=None, description="Name of a Cloud Armor security policy of the project that guards the app."
    )
    iap: IapSpec | None = Field(default=None, description="Leave out to let everybody in.")

    @model_validator(mode="after")
    def _reserved_as_its_kind_takes_it(self) -> "IngressSpec":
        gateway = self.kind == "MultiClusterGateway"
        if gateway and self.static_address and not self.static_address_name:
            raise ValueError(
                "staticAddress is for MultiClusterIngress; a MultiClusterGateway takes the name of a reserved address "
                "of its own: set staticAddressName as well"
            )
        if not gateway and self.static_address_name and not self.static_address:
            raise ValueError(
                "staticAddressName is for MultiClusterGateway; a MultiClusterIngress takes a reserved address itself: "
                "set staticAddress as well"
            )
        return self

    @model_validator(mode="after")
    def _secured_as_its_kind_takes_it(self) -> "IngressSpec":
        gateway = self.kind == "MultiClusterGateway"
        if self.iap is not None and self.https is None:
            raise ValueError("iap works over HTTPS alone; set https as well")
        if self.https is not None and not gateway:
            if not self.static_address:
                raise ValueError(
                    "https of a MultiClusterIngress needs a reserved address; reserve one "
                    "(`gcloud compute addresses create NAME --global`) and set staticAddress"
                )
            if not self.https.certificates:
                raise ValueError(
                    "https.certificateMap is for MultiClusterGateway; a MultiClusterIngress takes SSL certificates: "
                    "name at least one in https.certificates"
                )
        if self.iap is not None and gateway and not self.iap.client_id:
            raise ValueError(
                "iap of a MultiClusterGateway needs the id of the OAuth client beside its secret; set iap.clientId"
            )
        return self


class GPUServiceSpec(Strict):
    """What the user wants."""

    replicas: StrictInt = Field(default=1, ge=1, le=1000, description="How many Pods are to serve.")
    accelerators: list[AcceleratorSpec] = Field(min_length=1, max_length=16, description="GPU types, preferred first.")
    capacity_types: list[Literal["on-demand", "spot", "flex-start"]] = Field(
        default=["spot", "on-demand"],
        min_length=1, max_length=3, description="How capacity is bought, preferred first.",
    )  # fmt: skip
    regions: RegionsSpec = Field(default_factory=RegionsSpec, description="Where GPUs may be.")
    spread: SpreadSpec = Field(default_factory=SpreadSpec, description="How replicas lie over regions.")
    max_hourly_cost: Annotated[float, Field(gt=0, le=1e6, strict=False)] | None = Field(
        default=None, description="Hard cap in USD an hour over all GPUs held or asked for. Leave out for none."
    )
    policy: PolicySpec = Field(default_factory=PolicySpec, description="What is valued: low cost, or availability.")
    timing: TimingSpec = Field(default_factory=TimingSpec, description="How patient the hunt is.")
    pod: PodSpec = Field(description="The app.")
    ingress: IngressSpec = Field(default_factory=IngressSpec, description="How the world reaches it.")
    paused: StrictBool = Field(default=False, description="Leave everything as it is and write nothing.")

    @field_validator("max_hourly_cost", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError("write the cap as a number of USD an hour, such as 4.5, without quotes or units")
        return value

    @field_validator("accelerators", "capacity_types")
    @classmethod
    def _distinct(cls, value: list[Any]) -> list[Any]:
        for index, item in enumerate(value):
            if item in value[:index]:
                raise ValueError(
                    f"entry {index + 1} repeats an earlier one; the order is the preference, name each once"
                )
        return value

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
