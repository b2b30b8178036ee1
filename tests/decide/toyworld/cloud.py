"""A toy cloud for the decision: regions with GPU stock, delays, preemption, dark regions and a slow load balancer.

It knows nothing of the decision's insides. It turns actions into a world that moves, and the world into observations.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from controlplane.model.decision import (
    ApplyPlacement,
    DeletePlacement,
    ReleaseMember,
    RemoveFinalizer,
    ScaleDownPlacement,
    StartAutoscaling,
    StopAutoscaling,
    UnwireIngress,
    WireIngress,
)
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import (
    Advice,
    AutoscalerFact,
    ClusterInfo,
    IngressFact,
    Member,
    Observation,
    Refusal,
    RegionSignals,
)
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, RefusalClass
from controlplane.model.service import ServiceSpec
from controlplane.model.template import autoscaling_hash, ingress_spec_hash, spec_template_hash

from .parts import Deployment, Pod
from .spec import L4, START, T4, make_spec, seconds

UNIT_PRICES = {"nvidia-l4": 0.7, "nvidia-tesla-t4": 0.35}


class BrokenError(AssertionError):
    """An invariant did not hold."""


class Cloud:
    """The cloud, the service that is asked for, and the clock."""

    def __init__(self, regions=("us-a1", "us-b1"), spec: ServiceSpec | None = None, stock: int = 8, **knobs) -> None:
        self.spec = spec or make_spec()
        self.clusters = [ClusterRef(r, "gpu-1") for r in regions]
        self.now = START
        self.stock = {(c.region, a.type, k): stock for c in self.clusters for a in (L4, T4) for k in Capacity}
        self.deployments: dict[Offering, Deployment] = {}
        self.listed: tuple[str, ...] | None = None
        self.list_history: list[tuple[datetime, tuple[str, ...]]] = []
        self.ingress_hash = ""
        self.dark: set[str] = set()
        self.down: set[str] = set()
        self.sick: set[str] = set()
        self.fleet_dark = self.ingress_dark = self.health_dark = False
        self.boot = knobs.get("boot", seconds(60))
        self.warm = knobs.get("warm", seconds(60))
        self.lag = knobs.get("lag", seconds(60))
        self.refuse_after = knobs.get("refuse_after", seconds(60))
        self.silent = knobs.get("silent", False)
        # A changed template brings new Pods beside the old ones; without it, the old ones take it on as they run.
        self.surges = knobs.get("surges", False)
        self.bad: set[str] = set()
        self.price_of = knobs.get("price_of", {})
        self.prices_known = knobs.get("prices_known", True)
        self.advice: dict[Offering, Advice] = {}
        self.serial = 0
        self.finalizer = True
        self.released: set[str] = set()
        self.load: dict[str, int] = {}
        self.creates: dict[Offering, int] = {}
        self.created_at: list[tuple[datetime, Offering]] = []

    # what is there

    def price(self, offering: Offering) -> float:
        unit = UNIT_PRICES[offering.accelerator.type] * (1 if offering.capacity is Capacity.SPOT else 2)
        return self.price_of.get(offering.key, self.price_of.get(offering.region, unit))

    def offerings(self) -> list[Offering]:
        return [
            Offering(c, a, k) for c in self.clusters for a in self.spec.accelerators for k in self.spec.capacity_types
        ]

    def offering(self, region: str, accelerator: Accelerator = L4, capacity: Capacity = Capacity.SPOT) -> Offering:
        return Offering(ClusterRef(region, "gpu-1"), accelerator, capacity)

    def held(self, region: str, accelerator: str, capacity: Capacity) -> int:
        return sum(
            p.scheduled is not None and not p.failed
            for d in self.deployments.values()
            if (d.offering.region, d.offering.accelerator.type, d.offering.capacity) == (region, accelerator, capacity)
            for p in d.pods
        )

    def cost(self) -> float:
        return sum(
            max(d.replicas, sum(p.scheduled is not None and not p.failed for p in d.pods)) * self.price(d.offering)
            for d in self.deployments.values()
        )

    def worst_cost(self) -> float:
        """Give what it may come to cost by load alone."""
        return sum(d.worst * self.price(d.offering) for d in self.deployments.values())

    def wired(self) -> tuple[str, ...]:
        """Give the list that the load balancer has converged to."""
        past = [links for at, links in self.list_history if self.now - at >= self.lag]
        return past[-1] if past else ()

    def healthy(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for d in self.deployments.values():
            link = d.offering.cluster.link
            if link in self.wired() and link not in self.down and d.offering.region not in self.sick:
                count = sum(p.ready is not None and not p.failed for p in d.pods)
                found[d.offering.region] = found.get(d.offering.region, 0) + count
        return found

    def serving(self) -> int:
        return sum(self.healthy().values())

    def serving_offerings(self) -> list[Offering]:
        return sorted(d.offering for d in self.deployments.values() if any(p.ready and not p.failed for p in d.pods))

    def held_where(self) -> dict[str, int]:
        """Give the GPUs that are held, by offering as people read it."""
        counts = {
            str(o): sum(p.scheduled is not None and not p.failed for p in d.pods) for o, d in self.deployments.items()
        }
        return {name: count for name, count in sorted(counts.items()) if count}

    # what happens

    def new_uid(self) -> str:
        self.serial += 1
        return f"uid-{self.serial}"

    def set_stock(self, number: int, region=None, accelerator=None, capacity=None) -> None:
        for key in self.stock:
            if region in (None, key[0]) and accelerator in (None, key[1]) and capacity in (None, key[2]):
                self.stock[key] = number

    def preempt(self, region: str) -> int:
        count = 0
        for d in self.deployments.values():
            if d.offering.region == region and d.offering.capacity is Capacity.SPOT:
                for pod in d.pods:
                    if pod.scheduled and not pod.failed:
                        pod.failed = pod.preempted = True
                        pod.ready = None
                        count += 1
        return count

    def region_down(self, region: str) -> None:
        for c in self.clusters:
            if c.region == region:
                self.dark.add(c.link)
                self.down.add(c.link)
                for d in self.deployments.values():
                    if d.offering.cluster == c:
                        for pod in d.pods:
                            pod.ready = None

    def region_up(self, region: str) -> None:
        for c in self.clusters:
            if c.region == region:
                self.dark.discard(c.link)
                self.down.discard(c.link)

    def step(self, dt: timedelta) -> None:
        self.now += dt
        for d in [self.deployments[o] for o in sorted(self.deployments)]:
            if d.offering.cluster.link in self.down:
                continue
            d.scale(self.load.get(d.offering.region, 0))
            self._move(d)

    def _surge(self, d: Deployment, live: list[Pod]) -> None:
        """Replace as a Deployment does with one more Pod than wanted, and none of the old gone before its time."""
        new = [p for p in live if p.hash == d.hash]
        if len(new) < d.replicas and len(live) <= d.replicas:
            live.append(Pod(self.new_uid(), self.now, hash=d.hash))
            d.pods.append(live[-1])
        for old in [p for p in live if p.hash != d.hash]:
            if sum(p.ready is not None for p in live if p is not old) >= d.replicas:
                d.pods.remove(old)
                live.remove(old)

    def _move(self, d: Deployment) -> None:
        live = [p for p in d.pods if not p.failed]
        if d.surges:
            self._surge(d, live)
        while len(live) > d.replicas + any(p.hash != d.hash for p in live if d.surges):
            victim = min(live, key=lambda p: (p.ready is not None, p.scheduled is not None, -p.created.timestamp()))
            d.pods.remove(victim)
            live.remove(victim)
        while len(live) < d.replicas:
            pod = Pod(self.new_uid(), self.now, hash=d.hash)
            d.pods.append(pod)
            live.append(pod)
        kind = (d.offering.region, d.offering.accelerator.type, d.offering.capacity)
        for pod in live:
            if pod.scheduled is None:
                if self.held(*kind) < self.stock[kind]:
                    if self.now - pod.created >= self.boot:
                        pod.scheduled = self.now
                elif not self.silent and self.now - pod.created >= self.refuse_after:
                    refusal = Refusal(RefusalClass.STOCK_OUT, self.now, "GCE out of resources", pod_uid=pod.uid)
                    d.refusals = [r for r in d.refusals if r.pod_uid != pod.uid] + [refusal]
            elif pod.hash in self.bad:
                continue
            elif pod.ready is None and self.now - pod.scheduled >= self.warm and d.offering.region not in self.sick:
                pod.ready = self.now
            elif pod.ready is not None and d.offering.region in self.sick:
                pod.ready = None

    def respec(self, **changes) -> None:
        """Change the spec, as a user does."""
        self.spec = replace(self.spec, generation=self.spec.generation + 1, **changes)

    def faults_stop(self) -> None:
        """Let everything be well from now on."""
        for cluster in self.clusters:
            self.region_up(cluster.region)
        self.dark.clear()
        self.sick.clear()
        self.fleet_dark = self.ingress_dark = self.health_dark = self.silent = False
        self.set_stock(8)

    # what is seen and done

    def unknown(self) -> Unknown:
        return Unknown(UnknownReason.UNREACHABLE, self.now)

    def observe(self) -> Observation:
        members = {c: Member(ClusterInfo(c), self.workloads(c)) for c in self.clusters}
        health = self.unknown() if self.health_dark or self.listed is None else Known(self.healthy(), self.now)
        ingress = IngressFact(self.listed, "203.0.113.7" if self.listed else None, health, self.ingress_hash, "1")
        return Observation(
            at=self.now,
            fleet=self.unknown() if self.fleet_dark else Known(tuple(ClusterInfo(c) for c in self.clusters), self.now),
            members=members,
            signals={
                c.region: RegionSignals(Known(frozenset({L4.type, T4.type}), self.now), self.unknown())
                for c in self.clusters
            },
            ingress=self.unknown() if self.ingress_dark else Known(ingress, self.now),
            project_gpu_quota=self.unknown(),
            prices={o: self.price(o) for o in self.offerings()} if self.prices_known else {},
            advice={o: Known(told, self.now) for o, told in self.advice.items()},
        )

    def workloads(self, cluster: ClusterRef):
        if cluster.link in self.dark:
            return self.unknown()
        return Known(tuple(d.fact() for o, d in sorted(self.deployments.items()) if o.cluster == cluster), self.now)

    def perform(self, action) -> None:
        offering = getattr(action, "offering", None)
        if offering is not None and offering.cluster.link in self.dark:
            return
        self._carry_out(action, offering)

    def _carry_out(self, action, offering) -> None:
        if isinstance(action, ApplyPlacement):
            self._create_or_update(action)
        elif isinstance(action, ScaleDownPlacement):
            d = self.deployments[offering]
            if (d.uid, str(d.rv)) != (action.uid, action.resource_version):
                raise BrokenError(f"S7: precondition of {action}")
            if action.autoscaled is not None:
                self._bound(d, action.replicas, action.autoscaled)
            else:
                d.replicas, d.rv = action.replicas, d.rv + 1
        elif isinstance(action, StartAutoscaling):
            self._bound(self._seen(action), action.replicas, action.autoscaled)
        elif isinstance(action, StopAutoscaling):
            d = self._seen(action)
            d.scaler, d.replicas, d.rv = None, action.replicas, d.rv + 1
        elif isinstance(action, DeletePlacement):
            d = self.deployments.pop(offering)
            if (d.uid, str(d.rv)) != (action.uid, action.resource_version):
                raise BrokenError(f"S7: precondition of {action}")
        elif isinstance(action, WireIngress):
            self.listed = action.clusters
            self.list_history.append((self.now, action.clusters))
            self.ingress_hash = ingress_spec_hash(self.spec)
        elif isinstance(action, UnwireIngress):
            self.listed, self.list_history = None, []
        elif isinstance(action, ReleaseMember):
            self.released.add(action.cluster.link)
        elif isinstance(action, RemoveFinalizer):
            self.finalizer = False

    def _seen(self, action) -> Deployment:
        d = self.deployments[action.offering]
        if str(d.rv) != action.resource_version:
            raise BrokenError(f"S7: precondition of {action}")
        return d

    def _bound(self, d: Deployment, least: int, autoscaled) -> None:
        if (d.replicas, d.uid) != (autoscaled.seen, autoscaled.uid):
            raise BrokenError(f"{d.offering} has {d.replicas} replicas, {autoscaled} says otherwise")
        d.scaler = AutoscalerFact(least, max(least, autoscaled.maximum), autoscaling_hash(self.spec))

    def _create_or_update(self, action: ApplyPlacement) -> None:
        d = self.deployments.get(action.offering)
        if d is None:
            if action.resource_version is not None:
                raise BrokenError("S5: update of what is not there")
            d = Deployment(action.offering, self.new_uid(), 1, action.replicas, "", self.now, surges=self.surges)
            self.deployments[action.offering] = d
        elif action.resource_version != str(d.rv):
            raise BrokenError("S5: another version is there")
        if action.adds:
            self.creates[action.offering] = self.creates.get(action.offering, 0) + 1
            self.created_at.append((self.now, action.offering))
        if action.autoscaled is not None:
            self._bound(d, action.replicas, action.autoscaled)
        elif d.scaler is not None:
            raise BrokenError(f"{action} sets the replicas of what an autoscaler sets")
        else:
            d.replicas = action.replicas
        d.rv += 1
        d.hash = spec_template_hash(self.spec, action.offering)
