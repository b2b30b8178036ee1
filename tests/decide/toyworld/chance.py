"""Random worlds: whatever may go wrong does, in an order that a generator draws, and then stops."""

from dataclasses import replace

from controlplane.model.memory import Memory
from controlplane.model.observation import Advice
from controlplane.model.offering import Capacity
from controlplane.model.service import Autoscaling, PodTemplate, Policy, Preset, Regions, Spread

from .spec import L4, T4, make_spec, seconds
from .world import Toy

EVENTS = """
    stock stock preempt down up dark light sick well scale idle idle fleet ingress health lost template memory drift
    restrict restrict allow pause resume resume
"""


def _restricted(t: Toy, chance) -> Regions:
    """Give a residency that leaves at least one region."""
    regions = [c.region for c in t.clusters]
    some = frozenset(chance.sample(regions, chance.randint(1, len(regions) - 1)))
    return Regions(allowed=some) if chance.random() < 0.5 else Regions(denied=some)


def wild_event(t: Toy, chance, number: int) -> bool:
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


def _any_policy(chance) -> Policy:
    """Draw what a user may value."""
    spares = chance.choice([None, None, 0, 1, 3])
    if chance.random() < 0.3:
        return Policy(missing_replica_cost=chance.choice([0.0, 0.5, 5.0, 50.0, 10_000.0]), max_spares=spares)
    return Policy(preset=chance.choice(list(Preset)), max_spares=spares)


def _value(t: Toy, chance) -> None:
    """Let a user value things, and the advice API tell anything at all, mostly lies."""
    t.spec = replace(t.spec, policy=_any_policy(chance))
    t.prices_known = t.spec.max_hourly_cost is not None or chance.random() < 0.9
    for offering in t.offerings():
        if chance.random() < 0.3:
            t.advice[offering] = Advice(chance.choice([None, 0.0, 0.4, 1.0]), chance.choice([None, 1.0, 3e3, 1e9]))


def _grow(t: Toy, chance) -> None:
    """Let a user want it otherwise now and then, and the load of every region be anything."""
    if chance.random() < 0.15:
        t.respec(autoscaling=chance.choice([None, Autoscaling(chance.randint(1, 6), 25)]))
    t.load = {c.region: chance.choice([0, 1, 3, 9]) for c in t.clusters}


def wild(chance, events: int, values=None, loads=None) -> Toy:
    """Run a random world through random events, checking every pass; then let faults stop and give it time.

    `values`: a generator of its own that draws what the user values, now and again anew; None for no policy. `loads`:
    another one that draws how far placements may grow, and how much load they have; None for no autoscaling.
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
        if loads is not None:
            if number == 0:
                t.respec(autoscaling=Autoscaling(loads.randint(1, 6), 25))
            _grow(t, loads)
        lost = wild_event(t, chance, number)
        if deleted and number == events * 2 // 3:
            t.respec(deleting=True)
        for _ in range(chance.choice([1, 2, 5, 12])):
            t.step(seconds(chance.choice([30, 60, 300])))
            t.one_pass((lambda _: chance.random() < 0.6) if lost else (lambda _: True))
    t.faults_stop()
    t.respec(paused=deleted and t.spec.paused)  # a deletion is followed although the service is paused
    t.run(150)
    return t
