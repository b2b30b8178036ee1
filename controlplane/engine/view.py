"""What a pass saw, once for all services and batches: the view.

It is a value without a way to ask again, so that all that is decided in a pass rests on the same facts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controlplane.engine.ports import MemberCluster
from controlplane.engine.wirings import Health, WiringView
from controlplane.gateways.fleet import Listing
from controlplane.model.batch import JobFact
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import Quota, RegionSignals, WorkloadFact
from controlplane.model.offering import ClusterRef

Workloads = Mapping[tuple[str, str], tuple[WorkloadFact, ...]]
Jobs = Mapping[tuple[str, str], tuple[JobFact, ...]]


@dataclass(frozen=True, slots=True)
class View:
    """All that a pass saw, for every service. `handles` open the members that were listed."""

    at: datetime
    fleet: Known[Listing] | Unknown
    members: Mapping[ClusterRef, Known[Workloads] | Unknown]
    handles: Mapping[ClusterRef, MemberCluster]
    wiring: Known[WiringView] | Unknown
    health: Health
    signals: Mapping[str, RegionSignals]
    project_gpu_quota: Known[Quota] | Unknown
    calls: Mapping[str, int] = field(default_factory=dict)
    jobs: Mapping[ClusterRef, Known[Jobs] | Unknown] = field(default_factory=dict)

    def strays(
        self, services: Collection[tuple[str, str]], batches: Collection[tuple[str, str]] = ()
    ) -> tuple[str, ...]:
        """Give our workloads that nothing stands for any more: they hold GPUs, and nobody looks after them."""
        return (
            *(
                f"{ref.link} Deployment {workload.name} of GPUService {namespace}/{name}"
                for ref, fact in sorted(self.members.items())
                if isinstance(fact, Known)
                for (namespace, name), workloads in sorted(fact.value.items())
                if (namespace, name) not in services
                for workload in workloads
            ),
            *(
                f"{ref.link} Job {job.workload.name} of GPUBatch {namespace}/{name}"
                for ref, found in sorted(self.jobs.items())
                if isinstance(found, Known)
                for (namespace, name), jobs in sorted(found.value.items())
                if (namespace, name) not in batches
                for job in jobs
            ),
        )

    @property
    def unknown(self) -> dict[str, str]:
        """Give the members and locations that could not be seen, with the reason."""
        dark = {
            ref.link: f"{fact.reason.value}: {fact.message}" if fact.message else fact.reason.value
            for ref, fact in sorted(self.members.items())
            if isinstance(fact, Unknown)
        }
        return dark | dict.fromkeys(
            self.unlisted, f"{UnknownReason.LIST_INCOMPLETE.value}: left out of the fleet's listing"
        )

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Give the locations that the fleet's listing left out."""
        return self.fleet.value.unlisted if isinstance(self.fleet, Known) else ()
