"""What stands in the toy cloud: Deployments, their Pods, and how they are seen."""

from dataclasses import dataclass, field
from datetime import datetime

from controlplane.model.observation import AutoscalerFact, PodFact, Refusal, WorkloadFact
from controlplane.model.offering import Offering


@dataclass
class Pod:
    uid: str
    created: datetime
    scheduled: datetime | None = None
    ready: datetime | None = None
    preempted: bool = False
    failed: bool = False
    hash: str = ""


@dataclass
class Deployment:
    offering: Offering
    uid: str
    rv: int
    replicas: int
    hash: str
    created: datetime
    pods: list[Pod] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    surges: bool = False
    scaler: AutoscalerFact | None = None

    @property
    def worst(self) -> int:
        """The most that may run of it without a further action of ours."""
        running = sum(p.scheduled is not None and not p.failed for p in self.pods)
        return max(self.replicas, running, self.scaler.maximum if self.scaler else 0)

    def scale(self, load: int) -> None:
        """Let the autoscaler do what the load asks for."""
        if self.scaler is not None:
            wanted = min(max(load, self.scaler.minimum), self.scaler.maximum)
            if wanted != self.replicas:
                self.replicas, self.rv = wanted, self.rv + 1

    def fact(self) -> WorkloadFact:
        """Give what is seen of it."""
        pods = tuple(
            PodFact(
                name=p.uid,
                uid=p.uid,
                created_at=p.created,
                scheduled_at=p.scheduled,
                ready_at=p.ready,
                node="node" if p.scheduled else None,
                preempted=p.preempted,
                failed=p.failed,
            )
            for p in self.pods
        )
        return WorkloadFact(
            offering=self.offering,
            name=str(self.offering),
            uid=self.uid,
            resource_version=str(self.rv),
            replicas=self.replicas,
            template_hash=self.hash,
            pods=pods,
            refusals=tuple(self.refusals),
            created_at=self.created,
            autoscaler=self.scaler,
            rolled_out=not self.surges or all(p.hash == self.hash for p in self.pods if not p.failed),
        )
