"""The engine on the local cloud and the simulator take the same decisions on the same history.

A trace file is played twice, for the same GPUService. The simulator replays it with its Hunter. And the whole local
cloud plays it as the stock of three regions, in virtual time, while the engine makes its passes through its real
gateways, over sockets: it sees Pods, Events, Nodes, quotas and the load balancer, and what it decides becomes
Deployments, Pods and nodes. Compared is what each pass decided, action by action in order with its reason; how many
replicas it counted as serving, hunting, warming and draining; and in the end the whole memory of attempts and of
offerings.

Nothing of that may differ. What does differ between the two worlds, and how it is kept from telling:

- Delays. The simulator has two, both to the second: answers come `answer_after` seconds after the request, replicas
  serve `ready_after` seconds after it. A cluster adds moments of its own (a scheduler, probes, a load balancer that
  looks twice a second), so the local cloud's delays add up to some seconds less. Capacity changes after the answers of
  a minute in both, five seconds before the next pass. If it went in the two seconds between an answer in the one and in
  the other, the engine would hold for a moment what the simulator was refused.
- A lost Pod. In the simulator the next pass sees it, once, and its successor asks for a GPU in that pass. In a cluster
  it is seen for as long as it takes to end, and its successor asks at once. Apps here take all their grace to end, and
  no two changes are closer than a minute. If a Pod were preempted and gone between two passes, the engine would find
  the successor only: it would not take it for a loss, and would look elsewhere a pass later.
- A replica that is given up. In the simulator its GPU is free at once, in a cluster when the Pod has ended and its node
  is gone, which is before the next pass here.
- On-demand. In the simulator its answer is yes at once, in a cluster when the node is there, before the next pass.
- The autoscaler's back-off. In the simulator every request is put to the zone. An autoscaler that has failed puts none
  to it for a while (five minutes at first), whoever asks. The decision leaves an offering alone for as long, but only
  when it has seen the refusal: a successor that it withdraws before the answer makes the autoscaler back off and the
  decision not, and then the engine is refused where the simulator may succeed. Here the autoscaler hardly backs off.
- Places. In the simulator every zone is a cluster; here every cluster is a region with one zone. A regional cluster
  that tries zone after zone has no counterpart in the simulator.
- Names. Regions are called what they are here, and `region-0000` and so on in the simulator, in the order of the trace.
  Ties are broken by names, so the regions of the trace are in alphabetical order.
- Memory. The engine's goes through the status of the GPUService from pass to pass, where figures have four digits.
- What is not compared: texts of refusals, and what the simulator does not simulate (quotas, capacity advice).
"""

import asyncio
import logging
import random
from dataclasses import dataclass, fields

import pytest
import structlog
import uvloop

from controlplane.api import parse_service
from controlplane.engine import ExitCode
from controlplane.engine import Outcome as Done
from controlplane.model.decision import ApplyPlacement, DeletePlacement, ScaleDownPlacement, WireIngress
from controlplane.model.memory import Outcome
from controlplane.simulate.hunter import Hunter
from controlplane.simulate.hunter import policy as hunter_policy
from controlplane.simulate.hunter.deployments import EPOCH
from controlplane.simulate.market import Scoring
from controlplane.simulate.reading import read_trace, write_trace
from controlplane.simulate.replay import replay
from controlplane.simulate.trace import Trace, Zone

# A whole local cloud, though nothing waits on the wall clock.
pytestmark = pytest.mark.timeout(900)

MINUTE = 60
INTERVAL = 5
PASSES = 48
SCORING = Scoring(answer_after=52, ready_after=180, step=MINUTE, left_out=0)
DELAYS = {
    "provisioning": 45,
    "boot": 5,
    "refusal": 50,
    "image_pull": 0,
    "load_balancer": 1,
    "scale_down": 1,
    "spot_grace": 15,
    "backoff_initial": 1,
    "backoff_max": 1,
}
STARTING = 112  # and up to ten seconds more, for that is how often a Pod is asked
ON_DEMAND = 0.70
PRICES = {"asia-northeast1": 0.31, "europe-west4": 0.22, "us-central1": 0.25}
# From which minute on there are how many GPUs. All is sold out from 16 to 26.
STORY = {
    "asia-northeast1": {0: 0, 34: 2},
    "europe-west4": {0: 1, 9: 0, 26: 2},
    "us-central1": {0: 2, 16: 0},
}


def rough(seed):
    """Give a story in which capacity comes and goes by chance, every twelve minutes or so."""
    chance = random.Random(seed)
    changes = {region: [m for m in range(1, PASSES) if chance.random() < 1 / 12] for region in PRICES}
    return {region: {minute: chance.choice([0, 0, 1, 2, 4]) for minute in [0, *changes[region]]} for region in PRICES}


BY_VALUE = {"policy": {"preset": "balanced"}}
# Services that take no GPU from each other: each has a type of its own, with its own stock.
SERVICES = {
    "by-rank": ("nvidia-l4", STORY, {}),
    "by-value": ("nvidia-tesla-t4", STORY, BY_VALUE),
    "spot-only": ("nvidia-tesla-a100", STORY, {"capacityTypes": ["spot"]}),
    "rough-by-rank": ("nvidia-a100-80gb", rough(1), {}),
    "rough-by-value": ("nvidia-h100-80gb", rough(2), BY_VALUE),
}
TOLD = ("by-rank", "by-value", "spot-only")
REPLICAS = 2


def service(name):
    accelerator, _, more = SERVICES[name]
    return {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "GPUService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": REPLICAS,
            "accelerators": [{"type": accelerator}],
            "capacityTypes": ["spot", "on-demand"],
            "pod": {"image": "gpu-hunter/demo-app:1", "port": 7860},
            "timing": {"stabilisationWindow": "4m", "minDwell": "4m", "backoff": {"initial": "2m", "max": "6m"}},
            **more,
        },
    }


def capacity(counts):
    """Give the count of each interval: what holds from a minute on is there five seconds before it."""
    instants = [(interval + 1) * INTERVAL / MINUTE for interval in range(PASSES * MINUTE // INTERVAL)]
    return tuple(counts[max(since for since in counts if since <= instant)] for instant in instants)


def traces(folder):
    """Write the story down, once for each service's GPU type; give the files by service."""
    files = {}
    for name, (accelerator, story, _) in SERVICES.items():
        kind = accelerator.removeprefix("nvidia-")
        zones = (Zone(f"{region}-a", region, price, capacity(story[region]), kind) for region, price in PRICES.items())
        files[name] = folder / f"{name}.json"
        write_trace(Trace(name, kind, INTERVAL, ON_DEMAND, tuple(zones)), files[name])
    return files


def scenario(files):
    """Give the local cloud in which the traces are the stock of Spot; on-demand never runs out."""
    kinds = [accelerator for accelerator, _, _ in SERVICES.values()]
    return {
        "name": "history",
        "project": "gpu-hunter-local",
        "client_region": "us-central1",
        "config_cluster": {"name": "hunt-config", "location": "us-west2", "zones": ["us-west2-a"]},
        "clusters": [{"name": f"gpu-{region}", "location": region, "zones": [f"{region}-a"]} for region in PRICES],
        "stock": {f"{region}-a": {kind: {"on-demand": 50, "spot": 0} for kind in kinds} for region in PRICES},
        "prices": {
            region: {kind: {"on-demand": ON_DEMAND, "spot": price} for kind in kinds}
            for region, price in PRICES.items()
        },
        "traces": [
            {"file": str(file), "accelerator": SERVICES[name][0], "capacity": "spot"} for name, file in files.items()
        ],
        "delays": DELAYS,
        "load_balancer": {"port": 0},
    }


@dataclass(frozen=True)
class Pass:
    """What a pass decided: `actions` by region, and (serving, hunting, warming, draining) as it counted them."""

    minute: float
    actions: tuple
    counts: tuple


@dataclass(frozen=True)
class Played:
    """All passes of one of the two, what became of every attempt, and what was learnt of every offering."""

    passes: list
    attempts: list
    learnt: dict


def told(decisions, region_of):
    """Tell (instant, decision) in words that both worlds share."""
    last = decisions[-1][1]
    return Played(
        [Pass(_minute(at), tuple(_action(a, region_of) for a in d.plan), _counts(d.counts)) for at, d in decisions],
        [_attempt(attempt, region_of) for attempt in last.memory.attempts],
        {_place(key, region_of): _learnt(past) for key, past in last.memory.offerings.items()},
    )


def _minute(at):
    return (at - EPOCH).total_seconds() / MINUTE


def _counts(counts):
    return counts.serving, counts.hunting, counts.warming, counts.draining


def _action(action, region_of):
    if isinstance(action, WireIngress):
        return "wire", tuple(region_of[link] for link in action.clusters)
    offering = action.offering
    what = {ApplyPlacement: "apply", ScaleDownPlacement: "scale down", DeletePlacement: "delete"}[type(action)]
    replicas = getattr(action, "replicas", 0)
    return what, region_of[offering.cluster.link], str(offering.capacity), replicas, _why(action, region_of)


def _why(action, region_of):
    """Give the reason; it may name clusters."""
    why = action.why
    for link, region in region_of.items():
        why = why.replace(link, region)
    return why


def _attempt(attempt, region_of):
    """Give an attempt by the pass that first saw it; it may have begun with a Pod a little before that."""
    offering, began = attempt.offering, -(-_minute(attempt.started_at) // 1)
    ended = None if attempt.ended_at is None else _minute(attempt.ended_at)
    outcome = attempt.outcome, attempt.refusal
    return began, region_of[offering.cluster.link], str(offering.capacity), attempt.replicas, *outcome, ended


def _place(key, region_of):
    link, _, rest = key.partition(":")
    return region_of[link], rest.rpartition(":")[2]


def _learnt(past):
    """Give what was learnt of an offering, without the text of the last refusal."""
    values = {item.name: getattr(past, item.name) for item in fields(past) if item.name != "last_message"}
    return {
        name: pytest.approx(value, abs=1e-3) if isinstance(value, float) else value for name, value in values.items()
    }


def simulate(name, file):
    """Play the history of one service through the simulator."""
    stored = service(name)
    stored["metadata"] |= {"uid": name, "generation": 1}
    trace = read_trace(file)
    hunter = Hunter(parse_service(stored), trace, SCORING, skipping=False)
    decisions, decide = [], hunter_policy.decide

    def recorded(spec, observation, memory, now):
        decisions.append((now, decide(spec, observation, memory, now)))
        return decisions[-1][1]

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(hunter_policy, "decide", recorded)
        replay(trace, hunter, REPLICAS, SCORING)
    return told(decisions, {place.cluster.link: trace.zones[place.zone].region for place in hunter.places.all})


async def run_engine(virtual_cloud, folder, files):
    """Play the history of all services through the engine and the local cloud."""
    decisions = {name: [] for name in SERVICES}
    async with virtual_cloud(folder, scenario(files), starting=STARTING) as cloud:
        await cloud.apply(*(service(name) for name in SERVICES))
        await cloud.run_pass(dry_run=True)  # imports the clients and opens connections, which takes seconds
        for number in range(PASSES):
            await cloud.advance(number * MINUTE)
            report = await cloud.run_pass()
            assert report.exit_code < ExitCode.CUT_OFF, f"pass {number}: {report}"
            for found in report.services:
                assert {result.outcome for result in found.results} <= {Done.DONE}, f"pass {number}: {found.results}"
                decisions[found.key.partition("/")[2]].append((found.observation.at, found.decision))
    region_of = {f"{region}/gpu-{region}": region for region in PRICES}
    return {name: told(made, region_of) for name, made in decisions.items()}


@pytest.fixture(scope="module")
def both(tmp_path_factory, virtual_cloud):
    """Play the history in both worlds: by service (simulator, engine)."""
    folder = tmp_path_factory.mktemp("history")
    files = traces(folder)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        engine = runner.run(run_engine(virtual_cloud, folder / "cloud", files))
    return {name: (simulate(name, file), engine[name]) for name, file in files.items()}


@pytest.mark.parametrize("name", SERVICES)
def test_every_pass_decides_the_same(both, name):
    """Pass by pass the same actions in the same order, for the same reasons, on the same counts of replicas."""
    simulated, engine = both[name]

    assert len(engine.passes) == PASSES
    assert engine.passes == simulated.passes


@pytest.mark.parametrize("name", SERVICES)
def test_the_same_is_learnt_of_every_attempt(both, name):
    """Attempts begin and end in the same passes, with the same outcome."""
    simulated, engine = both[name]

    assert engine.attempts == simulated.attempts


@pytest.mark.parametrize("name", SERVICES)
def test_the_same_is_learnt_of_every_offering(both, name):
    """Budgets, back-offs, successes, losses and all else that the next pass would decide by are the same."""
    simulated, engine = both[name]

    assert engine.learnt == simulated.learnt


def when(played, what, capacity_type):
    """Give the minutes in which something of this capacity type was begun or given up."""
    return [p.minute for p in played.passes for a in p.actions if a[0] == what and a[2] == capacity_type]


@pytest.mark.parametrize("name", TOLD)
def test_the_history_has_all_that_a_hunt_consists_of(both, name):
    """Spot is obtained, refused, lost in two regions and, after a time without any, obtained again."""
    _, engine = both[name]

    serving = {p.minute: p.counts[0] for p in engine.passes}
    assert {outcome for *_, outcome, _, _ in engine.attempts} >= {Outcome.OBTAINED, Outcome.REFUSED}
    assert sum(past["last_lost_at"] is not None for past in engine.learnt.values()) >= 2
    assert [minute for minute in when(engine, "apply", "spot") if minute >= 26]
    assert serving[8] >= REPLICAS
    assert serving[PASSES - 1] >= REPLICAS


@pytest.mark.parametrize("name", ["by-rank", "by-value"])
def test_on_demand_bridges_the_time_without_spot(both, name):
    """It is taken while all is sold out and given back after Spot has come back."""
    _, engine = both[name]

    assert [minute for minute in when(engine, "apply", "on-demand") if 16 <= minute < 26]
    assert [minute for minute in when(engine, "delete", "on-demand") if minute > 26]


def test_without_on_demand_nothing_serves_while_all_is_sold_out(both):
    """The service of Spot alone waits."""
    _, engine = both["spot-only"]

    assert {p.counts[0] for p in engine.passes if 16 <= p.minute < 26} == {0}
    assert not when(engine, "apply", "on-demand")
