"""A toy cloud for the decision: regions with GPU stock, delays, preemption, dark regions and a slow load balancer.

It knows nothing of the decision's insides. It turns actions into a world that moves, and the world into observations,
and it checks after every pass what must always hold.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from controlplane.decide import decide
from controlplane.model.decision import (
    ApplyPlacement,
    Decision,
    DeletePlacement,
    ReleaseMember,
    RemoveFinalizer,
    ScaleDownPlacement,
    UnwireIngress,
    WireIngress,
)
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.memory import Memory, Phase
from controlplane.model.observation import (
    Advice,
    ClusterInfo,
    IngressFact,
    Member,
    Observation,
    PodFact,
    Refusal,
    RegionSignals,
    WorkloadFact,
)
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, RefusalClass
from controlplane.model.service import Ingress, PodTemplate, Policy, Preset, Regions, ServiceSpec, Spread, Timing
from controlplane.model.template import ingress_spec_hash, spec_template_hash

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
L4, T4 = Accelerator("nvidia-l4"), Accelerator("nvidia-tesla-t4")
UNIT_PRICES = {"nvidia-l4": 0.7, "nvidia-tesla-t4": 0.35}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


MINUTE = seconds(60)
SETTLED = seconds(300)
OVERDUE = seconds(1800)


def make_spec(**changes) -> ServiceSpec:
    base = ServiceSpec(
        name="web",
        namespace="default",
        uid="uid-web",
        generation=1,
        replicas=1,
        accelerators=(L4, T4),
        pod=PodTemplate(image="demo:1", port=7860),
        capacity_types=(Capacity.SPOT, Capacity.ON_DEMAND),
        timing=Timing(
            attempt_deadline=timedelta(minutes=15),
            warmup_deadline=timedelta(minutes=15),
            stabilisation_window=timedelta(minutes=10),
            min_dwell=timedelta(minutes=10),
        ),
        ingress=Ingress(draining_seconds=60),
    )
    return replace(base, **changes)


@dataclass
class Pod:
    uid: str
    created: datetime
    scheduled: datetime | None = None
    ready: datetime | None = None
    preempted: bool = False
    failed: bool = False


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


class BrokenError(AssertionError):
    """An invariant did not hold."""


class Toy:
    """The cloud, the memory of the service and the clock."""

    def __init__(self, regions=("us-a1", "us-b1"), spec: ServiceSpec | None = None, stock: int = 8, **knobs) -> None:
        self.spec = spec or make_spec()
        self.clusters = [ClusterRef(r, "gpu-1") for r in regions]
        self.now = START
        self.memory = Memory()
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
        self.price_of = knobs.get("price_of", {})
        self.prices_known = knobs.get("prices_known", True)
        self.advice: dict[Offering, Advice] = {}
        self.serial = 0
        self.finalizer = True
        self.released: set[str] = set()
        self.creates: dict[Offering, int] = {}
        self.created_at: list[tuple[datetime, Offering]] = []
        self.log: list[tuple[datetime, Decision]] = []
        self.left: list[tuple[datetime, str]] = []

    # what is there

    def price(self, offering: Offering) -> float:
        unit = UNIT_PRICES[offering.accelerator.type] * (1 if offering.capacity is Capacity.SPOT else 2)
        return self.price_of.get(offering.key, self.price_of.get(offering.region, unit))

    def offerings(self) -> list[Offering]:
        return [
            Offering(c, a, k) for c in self.clusters for a in self.spec.accelerators for k in self.spec.capacity_types
        ]

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
            self._move(d)

    def _move(self, d: Deployment) -> None:
        live = [p for p in d.pods if not p.failed]
        while len(live) > d.replicas:
            victim = min(live, key=lambda p: (p.ready is not None, p.scheduled is not None, -p.created.timestamp()))
            d.pods.remove(victim)
            live.remove(victim)
        while len(live) < d.replicas:
            pod = Pod(self.new_uid(), self.now)
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
        return Known(tuple(self.fact(d) for o, d in sorted(self.deployments.items()) if o.cluster == cluster), self.now)

    def fact(self, d: Deployment) -> WorkloadFact:
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
            for p in d.pods
        )
        return WorkloadFact(
            offering=d.offering,
            name=str(d.offering),
            uid=d.uid,
            resource_version=str(d.rv),
            replicas=d.replicas,
            template_hash=d.hash,
            pods=pods,
            refusals=tuple(d.refusals),
            created_at=d.created,
        )

    def apply(self, decision: Decision, keep=lambda action: True) -> None:
        for action in decision.plan:
            if keep(action):
                self.perform(action)

    def perform(self, action) -> None:
        offering = getattr(action, "offering", None)
        if offering is not None and offering.cluster.link in self.dark:
            return
        self.left += [(self.now, region) for region in self._leaves(action)]
        if isinstance(action, ApplyPlacement):
            self._create_or_update(action)
        elif isinstance(action, ScaleDownPlacement):
            d = self.deployments[offering]
            if (d.uid, str(d.rv)) != (action.uid, action.resource_version):
                raise BrokenError(f"S7: precondition of {action}")
            d.replicas, d.rv = action.replicas, d.rv + 1
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

    def _leaves(self, action) -> list[str]:
        """Give the regions whose serving replicas an action takes out of traffic: what a move is, seen from outside.

        What had answered for less than some minutes was never settled there, so its going is no move; and what a guard
        has held back for half an hour was decided long ago.
        """
        if isinstance(action, WireIngress):
            removed = self._settled_links() - set(action.clusters)
            return sorted({o.region for o, d in self.deployments.items() if o.cluster.link in removed and self._old(d)})
        if isinstance(action, (ScaleDownPlacement, DeletePlacement)):
            d, settled = self.deployments[action.offering], action.offering.cluster.link in self._settled_links()
            overdue = [p for p in self.memory.placements if p.phase is Phase.DRAINING and self.now - p.since >= OVERDUE]
            if action.offering in {p.offering for p in overdue}:
                return []
            rest = action.replicas if isinstance(action, ScaleDownPlacement) else 0
            return [action.offering.region] if settled and self._old(d) > rest else []
        return []

    def _settled_links(self) -> set[str]:
        """Give the clusters that have been wired for some minutes and that the address still leads to."""
        since = self.now - SETTLED - self.lag
        past = [links for at, links in self.list_history if at <= since][-1:]
        lists = [*past, *(links for at, links in self.list_history if at > since), self.listed or ()]
        return set.intersection(*map(set, lists)) if past else set()

    def _old(self, d: Deployment) -> int:
        return sum(p.ready is not None and not p.failed and self.now - p.ready >= SETTLED for p in d.pods)

    def _create_or_update(self, action: ApplyPlacement) -> None:
        d = self.deployments.get(action.offering)
        if d is None:
            if action.resource_version is not None:
                raise BrokenError("S5: update of what is not there")
            d = Deployment(action.offering, self.new_uid(), 1, action.replicas, "", self.now)
            self.deployments[action.offering] = d
        elif action.resource_version != str(d.rv):
            raise BrokenError("S5: another version is there")
        if action.adds:
            self.creates[action.offering] = self.creates.get(action.offering, 0) + 1
            self.created_at.append((self.now, action.offering))
        d.replicas, d.rv = action.replicas, d.rv + 1
        d.hash = spec_template_hash(self.spec, action.offering)

    # passes

    def think(self) -> Decision:
        return decide(self.spec, self.observe(), self.memory, self.now)

    def one_pass(self, keep=lambda action: True) -> Decision:
        decision = self.think()
        self.check(decision)
        self.memory = decision.memory
        before = self.serving()
        self.apply(decision, keep)
        self.check_after(decision, before)
        self.log.append((self.now, decision))
        return decision

    def run(self, passes: int, dt: timedelta = MINUTE) -> Decision:
        decision = self.one_pass()
        for _ in range(passes):
            self.step(dt)
            decision = self.one_pass()
        return decision

    def until(self, done, passes: int = 120, dt: timedelta = MINUTE) -> int:
        """Run passes until `done(self)` holds; give how many it took."""
        for number in range(passes + 1):
            self.one_pass()
            if done(self):
                return number
            self.step(dt)
        raise BrokenError(f"not within {passes} passes: {self.story()}")

    def verdict(self, offering: Offering, decision: Decision | None = None):
        """Give the verdict of one offering in the last pass."""
        found = decision or self.log[-1][1]
        return next(v for v in found.verdicts if v.offering == offering)

    def condition(self, kind: str):
        """Give a condition of the last pass."""
        return next(c for c in self.log[-1][1].conditions if c.type == kind)

    def plans(self, since: int = 0) -> list[str]:
        """Give what was done since pass number `since`, as text."""
        return [str(a) for _, d in self.log[since:] for a in d.plan]

    def offering(self, region: str, accelerator: Accelerator = L4, capacity: Capacity = Capacity.SPOT) -> Offering:
        return Offering(ClusterRef(region, "gpu-1"), accelerator, capacity)

    def settled(self) -> bool:
        """Tell whether as many serve as are wanted and nothing is left to do."""
        return self.serving() == self.spec.replicas and not self.log[-1][1].plan

    def held_where(self) -> dict[str, int]:
        """Give the GPUs that are held, by offering as people read it."""
        counts = {
            str(o): sum(p.scheduled is not None and not p.failed for p in d.pods) for o, d in self.deployments.items()
        }
        return {name: count for name, count in sorted(counts.items()) if count}

    def story(self) -> str:
        lines = [f"{at:%H:%M:%S} {a}" for at, d in self.log[-12:] for a in d.plan]
        tail = self.log[-1][1] if self.log else None
        conditions = [f"{c.type}={c.status} {c.reason}: {c.message}" for c in tail.conditions] if tail else []
        held = [f"{s.guard}: {s.action}: {s.why}" for s in tail.suppressed] if tail else []
        return "\n".join([*lines, *conditions, *held])

    # what must always hold

    def check(self, decision: Decision) -> None:
        spec = self.spec
        destructive = [a for a in decision.plan if isinstance(a, (ScaleDownPlacement, DeletePlacement))]
        for action in destructive:
            if action.offering.cluster.link in self.dark:
                raise BrokenError(f"S2: {action} rests on an unknown cluster")
        for action in decision.plan:
            if isinstance(action, ApplyPlacement) and not spec.regions.permits(action.offering.region):
                raise BrokenError(f"S3: {action}")
            if isinstance(action, WireIngress):
                fresh = set(action.clusters) - set(self.listed or ())
                if any(not spec.regions.permits(link.partition("/")[0]) for link in fresh):
                    raise BrokenError(f"S3: {action}")
            if isinstance(action, WireIngress) and not action.clusters:
                raise BrokenError("S1: an empty list")
        taking = [a for a in destructive if self._gpus(a)]
        if not spec.deleting and len(taking) > 2:
            raise BrokenError(f"S8: {taking}")
        if 2 * len({c.region for c in self.clusters if c.link in self.dark}) > len(self.clusters) and destructive:
            raise BrokenError(f"S8: {destructive} with most regions unknown")
        if spec.paused and not spec.deleting and (decision.plan or decision.memory != self.memory):
            raise BrokenError("S10: a paused service")
        keys = [v.offering for v in decision.verdicts]
        if set(self.offerings()) - set(keys) or len(keys) != len(set(keys)):
            raise BrokenError("Q1: an offering without a verdict, or with two")
        if any(not v.reasons for v in decision.verdicts):
            raise BrokenError("Q1: a verdict without a reason")
        if len(decision.memory.attempts) > 60:
            raise BrokenError("memory grows")

    def _gpus(self, action) -> int:
        d = self.deployments[action.offering]
        scheduled = sum(p.scheduled is not None and not p.failed for p in d.pods)
        return max(0, scheduled - (action.replicas if isinstance(action, ScaleDownPlacement) else 0))

    def check_after(self, decision: Decision, before: int) -> None:
        spec = self.spec
        if spec.deleting:
            return
        hour = [region for at, region in self.left if self.now - at < timedelta(hours=1)]
        if any(hour.count(region) > 2 for region in hour):
            raise BrokenError(f"L5: more than two moves within the hour: {hour}")
        cap = spec.max_hourly_cost
        adds = any(isinstance(a, ApplyPlacement) and a.adds > 0 for a in decision.plan)
        if cap is not None and adds and self.cost() > cap + 1e-6:
            raise BrokenError(f"S4: ${self.cost():.2f}/h over the cap of ${cap:.2f}/h")
        after = self.serving()
        routed = sum(
            n
            for r, n in self.healthy().items()
            if any(c.region == r and c.link in (self.listed or ()) for c in self.clusters)
        )
        rewired = any(isinstance(a, WireIngress) for a in decision.plan)
        overruled = self._residency_changed() and not rewired  # S3 goes before S1, while the balancer lags behind
        if before > 0 and spec.replicas > 0 and (after == 0 or routed == 0) and not overruled:
            raise BrokenError(f"S1: our own action ended the service: {[str(a) for a in decision.plan]}")
        if after < before and after < spec.replicas and decision.plan and cap is None and not self._residency_changed():
            raise BrokenError(f"S6: {before} served, {after} do: {[str(a) for a in decision.plan]}")

    def _residency_changed(self) -> bool:
        return any(not self.spec.regions.permits(o.region) for o in self.serving_offerings()) or bool(
            self.spec.regions.denied or self.spec.regions.allowed
        )


EVENTS = """
    stock stock preempt down up dark light sick well scale idle idle fleet ingress health lost template memory drift
    restrict restrict allow pause resume resume
"""


def _restricted(t: "Toy", chance) -> Regions:
    """Give a residency that leaves at least one region."""
    regions = [c.region for c in t.clusters]
    some = frozenset(chance.sample(regions, chance.randint(1, len(regions) - 1)))
    return Regions(allowed=some) if chance.random() < 0.5 else Regions(denied=some)


def _wild_event(t: "Toy", chance, number: int) -> bool:
    """Let something happen; tell whether the actions of the next pass get lost on their way."""
    kind, region = chance.choice(EVENTS.split()), chance.choice([c.region for c in t.clusters])
    link = f"{region}/gpu-1"
    seen = sorted(o for o in t.deployments if o.cluster.link not in t.dark)
    if kind == "stock":
        where, which = chance.choice([None, region]), chance.choice([None, L4.type, T4.type])
        t.set_stock(chance.choice([0, 0, 1, 8]), where, which, chance.choice([None, *Capacity]))
    elif kind == "preempt":
        t.preempt(region)
    elif kind == "down":
        t.region_down(region)
    elif kind == "up":
        t.region_up(region)
    elif kind == "dark":
        t.dark.add(link)
    elif kind == "light" and link not in t.down:
        t.dark.discard(link)
    elif kind == "sick":
        t.sick.add(region)
    elif kind == "well":
        t.sick.discard(region)
    elif kind == "scale":
        t.respec(replicas=chance.choice([1, 2, 3]))
    elif kind in ("fleet", "ingress", "health"):
        setattr(t, f"{kind}_dark", not getattr(t, f"{kind}_dark"))
    elif kind == "template":
        t.respec(pod=PodTemplate(image=f"demo:{number}", port=7860))
    elif kind == "memory" and not (t.spec.max_hourly_cost and (t.dark or t.spec.paused)):
        t.memory, t.left = Memory(), []  # with a cap and dark regions nobody could know what is running there
    elif kind == "restrict":
        t.respec(regions=_restricted(t, chance))
    elif kind == "allow":
        t.respec(regions=Regions())
    elif kind in ("pause", "resume"):
        t.respec(paused=kind == "pause")
    elif kind == "drift" and seen and not (t.spec.max_hourly_cost and t.spec.paused):
        deployment = t.deployments[chance.choice(seen)]
        deployment.replicas, deployment.rv = chance.choice([1, 2]), deployment.rv + 1
    return kind == "lost"


def any_policy(chance) -> Policy:
    """Draw what a user may value."""
    spares = chance.choice([None, None, 0, 1, 3])
    if chance.random() < 0.3:
        return Policy(missing_replica_cost=chance.choice([0.0, 0.5, 5.0, 50.0, 10_000.0]), max_spares=spares)
    return Policy(preset=chance.choice(list(Preset)), max_spares=spares)


def _value(t: "Toy", chance) -> None:
    """Let a user value things, and the advice API tell anything at all, mostly lies."""
    t.spec = replace(t.spec, policy=any_policy(chance))
    t.prices_known = t.spec.max_hourly_cost is not None or chance.random() < 0.9
    for offering in t.offerings():
        if chance.random() < 0.3:
            t.advice[offering] = Advice(chance.choice([None, 0.0, 0.4, 1.0]), chance.choice([None, 1.0, 3e3, 1e9]))


def wild(chance, events: int, values=None) -> "Toy":
    """Run a random world through random events, checking every pass; then let faults stop and give it time.

    `values`: a generator of its own that draws what the user values, now and again anew; None for no policy.
    """
    regions = [f"us-{letter}1" for letter in "abcd"[: chance.choice([2, 3, 4])]]
    replicas = chance.choice([1, 1, 2, 3, 5])
    spec = make_spec(
        replicas=replicas,
        spread=Spread(chance.choice([1, 1, 2]), chance.choice([None, None, 1, 2, 3])),
        max_hourly_cost=chance.choice([None, None, 1.5 * replicas, 3.0 * replicas]),
    )
    t = Toy(
        tuple(regions),
        spec,
        silent=chance.random() < 0.2,
        lag=seconds(chance.choice([0, 60, 180])),
        boot=seconds(chance.choice([0, 60, 240])),
        price_of={r: chance.choice([0.5, 0.6, 0.9, 1.2]) for r in regions if chance.random() < 0.4},
    )
    deleted = chance.random() < 0.15
    for number in range(events):
        if values is not None and (number == 0 or values.random() < 0.1):
            _value(t, values)
        lost = _wild_event(t, chance, number)
        if deleted and number == events * 2 // 3:
            t.respec(deleting=True)
        for _ in range(chance.choice([1, 2, 5, 12])):
            t.step(seconds(chance.choice([30, 60, 300])))
            t.one_pass((lambda _: chance.random() < 0.6) if lost else (lambda _: True))
    t.faults_stop()
    t.respec(paused=deleted and t.spec.paused)  # a deletion is followed although the service is paused
    t.run(150)
    return t
