"""What Kubernetes does with a placement: Pods for replicas, successors for the lost, and the order of a scale-down.

Every Pod is one request in the market. A refused one stays pending, as it does in a cluster, and asks no more: on GKE
the autoscaler backs off by itself, so asking again is the decision's to do, by taking the Pod back and scaling up
later.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controlplane.model.observation import PodFact, Refusal, WorkloadFact
from controlplane.model.offering import Capacity, Offering, RefusalClass
from controlplane.simulate.market import Answered, Event, Lease, Market, Preempted

EPOCH = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
SOLD_OUT = "the zone is out of stock"


def instant(seconds: float) -> datetime:
    """Give the virtual clock's time, so many seconds after the start of the trace."""
    return EPOCH + timedelta(seconds=seconds)


@dataclass(slots=True, eq=False)
class Pod:
    """A Pod and its request; times are seconds since the start of the trace."""

    uid: str
    lease: Lease
    created: float
    scheduled: float | None = None
    ready: float | None = None
    refused: float | None = None
    preempted: bool = False
    lost: float | None = None

    def heed(self, event: Event) -> None:
        """Take in what became of the request."""
        if isinstance(event, Preempted):
            self.preempted, self.ready, self.lost = True, None, event.at
        elif not isinstance(event, Answered):
            self.ready = event.at
        elif event.accepted:
            self.scheduled = event.at
        else:
            self.refused = event.at

    def fact(self, zone: str) -> PodFact:
        """Give the Pod as an API server would tell of it."""
        return PodFact(
            name=self.uid,
            uid=self.uid,
            created_at=instant(self.created),
            scheduled_at=None if self.scheduled is None else instant(self.scheduled),
            ready_at=None if self.ready is None else instant(self.ready),
            node=None if self.scheduled is None else f"node-of-{self.uid}",
            zone=zone,
            preempted=self.preempted,
            failed=self.preempted,
            lost_at=None if self.lost is None else instant(self.lost),
        )


@dataclass(slots=True, eq=False)
class Deployment:
    """A placement's Deployment. `zone` is the trace's, None for on-demand; `lost` are Pods whose nodes were taken."""

    offering: Offering
    zone: int | None
    uid: str
    created: float
    template: str = ""
    version: int = 0
    pods: list[Pod] = field(default_factory=list)
    lost: list[Pod] = field(default_factory=list)
    made: int = 0

    def scale(self, market: Market, replicas: int) -> None:
        """Bring it to so many Pods. Kubernetes removes what runs least first, then the newest."""
        self.version += 1
        while len(self.pods) > replicas:
            victim = min(
                self.pods, key=lambda p: (p.ready is not None, p.scheduled is not None, -p.created, -p.lease.id)
            )
            self.pods.remove(victim)
            market.release(victim.lease)
        for _ in range(replicas - len(self.pods)):
            self.start(market)

    def start(self, market: Market) -> Pod:
        """Make a Pod, which asks for its GPU at once."""
        self.made += 1
        pod = Pod(f"{self.uid}-{self.made}", market.request(self.zone), market.now)
        if self.offering.capacity is Capacity.ON_DEMAND:
            pod.scheduled = market.now
        self.pods.append(pod)
        return pod

    def replace(self, market: Market, gone: Pod) -> Pod:
        """Make the successor of a Pod that was preempted."""
        self.pods.remove(gone)
        self.lost.append(gone)
        return self.start(market)

    def fact(self) -> WorkloadFact:
        """Give the Deployment and its Pods as an API server would tell of them."""
        place = self.offering.cluster.location
        return WorkloadFact(
            offering=self.offering,
            name=self.uid,
            uid=self.uid,
            resource_version=str(self.version),
            replicas=len(self.pods),
            template_hash=self.template,
            pods=tuple(p.fact(place) for p in (*self.lost, *self.pods)),
            refusals=tuple(
                Refusal(RefusalClass.STOCK_OUT, instant(p.refused), SOLD_OUT, pod_uid=p.uid)
                for p in self.pods
                if p.refused is not None
            ),
            created_at=instant(self.created),
        )
