"""Fleet, `gpuhunter.dev/v1alpha1`: the one source of its defaults, its checks and its CRD schema.

It is cluster-scoped and only the one named `default` counts: two of them could disagree about what is a member. As for
a GPUService, what a schema cannot say (a name rule that gives the config cluster's own name) is checked here only.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, StrictInt, StrictStr, field_validator, model_validator

from controlplane.api.catalogue import REGIONS
from controlplane.api.checking import checked
from controlplane.api.durations import Duration
from controlplane.api.problems import Problem, did_you_mean
from controlplane.api.sections import Strict
from controlplane.model.fleet import FLEET_NAME, NAME_RULE, EndpointChoice, FleetSpec, OnDemand, ReconcilerPlace
from controlplane.model.offering import ClusterRef, region_of

KIND = "Fleet"
LABEL = "gpu-hunter"
LONGEST_CLUSTER_NAME = 40
_CLUSTER_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][-_a-z0-9]{0,62}")
_LABEL_VALUE = re.compile(r"[-_a-z0-9]{0,63}")
_CRON = re.compile(r"[0-9*/,\-A-Za-z]+( [0-9*/,\-A-Za-z]+){4}")


def _known(regions: Iterable[str]) -> None:
    seen: set[str] = set()
    for region in regions:
        if region not in REGIONS:
            advice = did_you_mean(region, REGIONS, "see `gcloud compute regions list`")
            raise ValueError(f'"{region}" is not a region of Google Cloud; {advice}')
        if region in seen:
            raise ValueError(f'"{region}" is named twice; keep one of them')
        seen.add(region)


class MembersSpec(Strict):
    """Which clusters belong to the fleet, and how they are reached."""

    labels: dict[StrictStr, StrictStr] = Field(
        default_factory=dict,
        max_length=32,
        description="Resource labels that a member must carry. Clusters that GPU Hunter creates get them.",
    )
    endpoint: Literal["auto", "dns", "ip", "connectGateway"] = Field(
        default="auto",
        description="How API servers are reached. auto: the DNS endpoint where it is open, else IP, else the gateway.",
    )
    regions: list[StrictStr] = Field(
        default_factory=list, max_length=50, description="Bootstrap makes one Autopilot cluster in each."
    )
    name: StrictStr = Field(
        default=NAME_RULE, max_length=63, description="Name of clusters that GPU Hunter creates; holds {region}."
    )

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: dict[str, str]) -> dict[str, str]:
        for key, given in value.items():
            if key == LABEL:
                raise ValueError(f'"{LABEL}" is GPU Hunter\'s own label; take another key')
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(given):
                raise ValueError(
                    f'"{key}={given}" is not a label of Google Cloud; use lower-case letters, digits, - and _,'
                    " at most 63, the key starting with a letter"
                )
        return value

    @field_validator("regions")
    @classmethod
    def _regions(cls, value: list[str]) -> list[str]:
        _known(value)
        return value

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if value.count("{region}") != 1:
            raise ValueError(f'"{value}" must contain {{region}} once; write one such as "{NAME_RULE}"')
        example = value.replace("{region}", "us-west1")
        if not _CLUSTER_NAME.fullmatch(example):
            raise ValueError(f'"{example}" is not a cluster name; use lower-case letters, digits and dashes')
        return value


class OnDemandSpec(Strict):
    """Clusters that passes create where GPUs can be had and no cluster is. Absent: none are ever created."""

    regions: list[StrictStr] = Field(
        min_length=1, max_length=50, description="Where they may be created; nowhere else, ever."
    )
    max: StrictInt = Field(default=1, ge=1, le=50, description="How many of them at most at once.")
    idle_after: Duration = Field(
        default=timedelta(hours=2),
        description="How long one must be without a placement before it is drained and deleted.",
    )

    @field_validator("regions")
    @classmethod
    def _regions(cls, value: list[str]) -> list[str]:
        _known(value)
        return value


class ReconcilerSpec(Strict):
    """What runs the passes, for bootstrap."""

    region: StrictStr | None = Field(default=None, description="Default: the region of the config cluster.")
    schedule: StrictStr = Field(
        default="* * * * *", max_length=100, description="When passes are made, as a cron line of five fields."
    )

    @field_validator("region")
    @classmethod
    def _region(cls, value: str | None) -> str | None:
        _known(() if value is None else (value,))
        return value

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str) -> str:
        if not _CRON.fullmatch(value):
            raise ValueError(f'"{value}" is not a cron line of five fields; write one such as "*/5 * * * *"')
        return value


class FleetObject(Strict):
    """What the user wants of the project's fleet."""

    project: StrictStr = Field(
        pattern=r"^([a-z0-9.-]+:)?[a-z][-a-z0-9]{2,28}[a-z0-9]$", description="Id of the Google Cloud project."
    )
    config_cluster: StrictStr = Field(
        max_length=104, description="LOCATION/NAME of the cluster that holds GPUServices and the ingress objects."
    )
    members: MembersSpec = Field(default_factory=MembersSpec, description="Which clusters belong to the fleet.")
    clusters_on_demand: OnDemandSpec | None = Field(
        default=None, description="Clusters that passes may create. Absent: none are ever created."
    )
    reconciler: ReconcilerSpec = Field(default_factory=ReconcilerSpec, description="What runs the passes.")

    @field_validator("config_cluster")
    @classmethod
    def _link(cls, value: str) -> str:
        location, slash, name = value.partition("/")
        if not slash or not location or not _CLUSTER_NAME.fullmatch(name) or len(name) > LONGEST_CLUSTER_NAME:
            raise ValueError(f'"{value}" is not LOCATION/NAME; write one such as "us-west2/gpu-config"')
        if region_of(location) not in REGIONS:
            advice = did_you_mean(region_of(location), REGIONS, "see `gcloud compute regions list`")
            raise ValueError(f'"{location}" is not a location of Google Cloud; {advice}')
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "FleetObject":
        on_demand = self.clusters_on_demand.regions if self.clusters_on_demand else []
        for region in on_demand:
            if region in self.members.regions:
                raise ValueError(
                    f'"{region}" is in members.regions and in clustersOnDemand.regions; leave it in one of the two'
                )
        for region in (*self.members.regions, *on_demand):
            name = self.members.name.replace("{region}", region)
            if len(name) > LONGEST_CLUSTER_NAME:
                raise ValueError(
                    f'members.name gives "{name}", {len(name)} characters; '
                    f"shorten it, cluster names have at most {LONGEST_CLUSTER_NAME}"
                )
            if f"{region}/{name}" == self.config_cluster:
                raise ValueError(
                    f'members.name gives "{name}", which is the config cluster\'s own name in {region};'
                    " give members another name or leave that region out"
                )
        return self


def parse_fleet(obj: Mapping[str, Any], *, source: str = "") -> FleetSpec:
    """Check a Fleet and give its values. Raises SpecError that lists everything wrong at once."""
    spec = checked(obj, KIND, FleetObject, _metadata(obj.get("metadata")), source=source)
    members, grown = spec.members, spec.clusters_on_demand
    return FleetSpec(
        project=spec.project,
        config=ClusterRef.of(spec.config_cluster),
        labels=dict(members.labels),
        endpoint=EndpointChoice(members.endpoint),
        regions=tuple(members.regions),
        name_rule=members.name,
        on_demand=None if grown is None else OnDemand(tuple(grown.regions), grown.max, grown.idle_after),
        reconciler=ReconcilerPlace(spec.reconciler.region or "", spec.reconciler.schedule),
    )


def _metadata(metadata: object) -> list[Problem]:
    if not isinstance(metadata, Mapping):
        return [Problem("metadata", "is missing", f"write metadata: {{name: {FLEET_NAME}}}")]
    problems = []
    if metadata.get("name") != FLEET_NAME:
        what = f"{metadata.get('name')!r} is not the fleet's name"
        problems.append(Problem("metadata.name", what, f"write name: {FLEET_NAME}; a config cluster has one Fleet"))
    if metadata.get("namespace") is not None:
        problems.append(Problem("metadata.namespace", "a Fleet is in no namespace", "remove it"))
    return problems
