"""How a batch's shards are shared out, counted and ended; the hunt itself is that of services."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.decide.batches import Ahead, Seen, ahead_of, decide_batch
from controlplane.decide.batches.progress import advance, affordable_rate, ended, remaining
from controlplane.decide.batches.shards import Head, order
from controlplane.model.batch import (
    BatchMemory,
    BatchPhase,
    BatchSpec,
    DeleteJob,
    JobFact,
    ReleaseBatch,
    ScaleJob,
    StartJob,
    numbers_of,
    runs,
)
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.memory import Attempt, Memory, OfferingMemory
from controlplane.model.observation import (
    ClusterInfo,
    IngressFact,
    Member,
    Observation,
    PodFact,
    Quota,
    RegionSignals,
    WorkloadFact,
)
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, RefusalClass
from controlplane.model.service import PodTemplate

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
L4 = Accelerator("nvidia-l4")
REFS = [ClusterRef(region, f"gpu-{region}") for region in ("asia-east1", "europe-west4", "us-west1")]
SPOT = [Offering(ref, L4, Capacity.SPOT) for ref in REFS]


def batch(**more):
    usual = {
        "name": "cats",
        "namespace": "default",
        "uid": "u1",
        "generation": 1,
        "parameters": "gs://b/cats.yaml",
        "output": "gs://b/out",
        "pictures": 100,
        "accelerators": (L4,),
        "pod": PodTemplate("i:1", 0),
        "created_at": NOW - timedelta(minutes=5),
        "shard_size": 10,
        "parallelism": 3,
    }
    return BatchSpec(**{**usual, **more})


def job(offering, shards, *, workers=1, running=1, done=(), failed=(), uid="j1", **more):
    pods = tuple(
        PodFact(f"p{n}", f"{uid}-p{n}", NOW, scheduled_at=NOW, ready_at=NOW, node=f"n{n}") for n in range(running)
    )
    workload = WorkloadFact(offering, f"cats-{offering.region}", uid, "7", workers, "", pods, created_at=NOW)
    return JobFact(workload, tuple(shards), frozenset(done), frozenset(failed), **more)


def seen(*jobs, dark=(), ahead=None, unlisted=()):
    """Give what a pass saw: these Jobs, in clusters that answer but for the dark ones."""
    at = {
        ref: Unknown(UnknownReason.DEADLINE_EXCEEDED, NOW)
        if ref in dark
        else Known(tuple(j for j in jobs if j.offering.cluster == ref), NOW)
        for ref in REFS
    }
    infos = tuple(ClusterInfo(ref) for ref in REFS)
    offered = Known(frozenset({"nvidia-l4"}), NOW)
    quota = Known({"PREEMPTIBLE_NVIDIA_L4_GPUS": Quota(16, 0), "NVIDIA_L4_GPUS": Quota(16, 0)}, NOW)
    observation = Observation(
        at=NOW,
        fleet=Known(infos, NOW),
        members={i.ref: Member(i, Known((), NOW) if i.ref not in dark else at[i.ref]) for i in infos},
        signals={ref.region: RegionSignals(offered, quota) for ref in REFS},
        ingress=Known(IngressFact(None, None, Known({}, NOW)), NOW),
        project_gpu_quota=Known(Quota(64, 0), NOW),
        prices={offering: 0.25 for offering in SPOT},
        unlisted=unlisted,
    )
    return Seen(observation, at, NOW, ahead or Ahead())


numbers = st.lists(st.integers(0, 200), unique=True, max_size=60)
heads = st.lists(st.builds(Head, st.integers(0, 39), st.integers(1, 8)), max_size=5)


@given(st.integers(1, 40), heads, st.integers(1, 8))
def test_every_job_is_given_every_shard_once(count, at_work, workers):
    """So nothing has to be handed over when a region goes."""
    remaining_shards = list(range(100, 100 + count))
    placed = [Head(head.at % count, head.workers) for head in at_work]
    assert sorted(order(remaining_shards, placed, workers)) == remaining_shards


@given(numbers)
def test_numbers_are_written_and_read_back_in_their_order(given_numbers):
    """Whatever order they are in."""
    assert numbers_of(runs(given_numbers)) == tuple(given_numbers)


def test_a_text_of_countless_numbers_is_refused():
    """A status that somebody wrote must not eat the memory."""
    with pytest.raises(ValueError, match="more than the 100,000 shards"):
        numbers_of("0-99999999999")


@pytest.mark.parametrize(
    ("at_work", "workers", "first", "then"),
    [
        pytest.param([], 1, 0, 1, id="the first takes them from the beginning"),
        pytest.param([Head(0, 1)], 1, 5, 6, id="the second begins in the middle"),
        pytest.param([Head(0, 3)], 1, 8, 9, id="in proportion to the workers"),
        pytest.param([Head(0, 1), Head(2, 1)], 1, 6, 7, id="in the widest gap"),
    ],
)
def test_a_new_job_begins_where_it_will_not_soon_meet_another(at_work, workers, first, then):
    """Its own share upwards first."""
    assert order(list(range(10)), at_work, workers)[:2] == (first, then)


def test_a_job_that_helps_begins_at_the_far_end_of_the_others_share():
    """The shard that its owner would come to last."""
    assert order(list(range(10)), [Head(0, 1)], 1) == (5, 6, 7, 8, 9, 4, 3, 2, 1, 0)


def test_first_pass_starts_jobs_over_all_shards():
    """One worker in each region, since nothing is known of any of them yet; memory says so before it is done."""
    decision = decide_batch(batch(), seen(), BatchMemory())
    starts = [a for a in decision.plan if isinstance(a, StartJob)]
    assert len(starts) == 3
    assert {len(a.shards) for a in starts} == {10}
    assert len({a.shards[0] for a in starts}) == 3
    assert {a.offering for a in decision.memory.hunt.attempts} == {a.offering for a in starts}


def test_no_more_workers_than_shards():
    """Two shards take two workers, whatever the parallelism."""
    decision = decide_batch(batch(pictures=12, parallelism=9), seen(), BatchMemory())
    assert sum(a.workers for a in decision.plan if isinstance(a, StartJob)) == 2


def test_who_is_at_work_is_not_sent_away_because_little_is_left():
    """Three workers at the last two shards: nobody knows who will be done first."""
    memory = BatchMemory(done=frozenset(range(8)), hunt=Memory(passes=3))
    jobs = [job(o, (8, 9), uid=f"j{n}") for n, o in enumerate(SPOT)]
    decision = decide_batch(batch(), seen(*jobs), memory)
    assert not [a for a in decision.plan if isinstance(a, ScaleJob | DeleteJob)]


def test_a_job_with_nothing_left_is_deleted():
    """Its GPU is free for others at once."""
    jobs = [job(SPOT[0], (8,), done=(8,), running=0), job(SPOT[1], (9,), uid="j2")]
    decision = decide_batch(batch(), seen(*jobs), BatchMemory(done=frozenset(range(8)), hunt=Memory(passes=3)))
    assert [a.offering for a in decision.plan if isinstance(a, DeleteJob)] == [SPOT[0]]
    assert decision.memory.done == frozenset(range(9))


def test_a_shard_is_given_up_after_two_jobs_have_failed_at_it():
    """One Job's failure may be its region's; a second one's is the shard's."""
    one = advance(batch(), BatchMemory(), [job(SPOT[0], (0, 1), failed=(1,), trouble="exit code 1: boom")], NOW)
    assert one.lost == frozenset()
    two = advance(batch(), one, [job(SPOT[1], (0, 1), failed=(1,), uid="j2")], NOW)
    assert two.lost == {1}
    assert 1 not in remaining(batch(), two)
    assert "boom" in two.message


def test_a_shard_that_failed_somewhere_and_is_rendered_elsewhere_is_done():
    """What counts is the picture."""
    one = advance(batch(), BatchMemory(), [job(SPOT[0], (0, 1), failed=(1,))], NOW)
    two = advance(batch(), one, [job(SPOT[1], (0, 1), done=(1,), uid="j2")], NOW)
    assert (two.lost, two.failures) == (frozenset(), {})


def test_cost_is_counted_by_the_rate_that_was_known():
    """Half an hour at 0.50 USD an hour, however many passes were missed."""
    memory = BatchMemory(spent=1.0, rate=0.5, counted_at=NOW - timedelta(minutes=30))
    assert advance(batch(), memory, [], NOW).spent == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("memory", "more", "phase", "reason"),
    [
        pytest.param({"done": range(10)}, {}, BatchPhase.SUCCEEDED, "AllRendered", id="all rendered"),
        pytest.param({"done": range(9), "lost": [9]}, {}, BatchPhase.FAILED, "ShardsFailed", id="a shard lost"),
        pytest.param({}, {"deadline": timedelta(minutes=5)}, BatchPhase.FAILED, "DeadlineExceeded", id="too late"),
        pytest.param({"spent": 0.99, "rate": 0.5}, {"max_cost": 1.0}, BatchPhase.FAILED, "CostCapReached", id="dear"),
        pytest.param({"spent": 0.9, "rate": 0.5}, {"max_cost": 1.0}, BatchPhase.RUNNING, "", id="not yet dear"),
        pytest.param({}, {"deadline": timedelta(hours=5)}, BatchPhase.RUNNING, "", id="goes on"),
    ],
)
def test_when_a_batch_is_over(memory, more, phase, reason):
    """Rendered, given up, too late or too dear; before the next passes could pass the cap, not after."""
    sets = {k: frozenset(v) if k in ("done", "lost") else v for k, v in memory.items()}
    found = ended(batch(**more), BatchMemory(**sets), NOW)
    assert (found.phase, found.reason) == (phase, reason)


def test_the_cost_cap_bounds_what_may_be_asked_for():
    """With 0.10 USD left, no more an hour than two passes can spend of it; the hourly cap holds besides."""
    memory = BatchMemory(spent=0.9)
    assert affordable_rate(batch(max_cost=1.0), memory) == pytest.approx(3.0)
    assert affordable_rate(batch(max_cost=1.0, max_hourly_cost=2.0), memory) == 2.0
    assert affordable_rate(batch(), memory) is None


def test_a_batch_that_is_over_takes_its_jobs_down_wherever_they_turn_up():
    """Also in a region that was dark when it ended."""
    memory = BatchMemory(phase=BatchPhase.SUCCEEDED, reason="AllRendered", done=frozenset(range(10)))
    decision = decide_batch(batch(), seen(job(SPOT[2], (1, 2))), memory)
    assert [type(a) for a in decision.plan] == [DeleteJob]


@pytest.mark.parametrize(
    ("what", "released"),
    [
        pytest.param({}, True, id="nothing is left"),
        pytest.param({"dark": (REFS[0],)}, False, id="a cluster does not answer"),
        pytest.param({"unlisted": ("us-west1",)}, False, id="the listing leaves a location out"),
    ],
)
def test_a_deleted_batch_goes_when_nothing_of_it_can_be_left(what, released):
    """What cannot be seen may still run and cost (S2)."""
    decision = decide_batch(batch(deleting=True), seen(**what), BatchMemory())
    assert any(isinstance(a, ReleaseBatch) for a in decision.plan) is released
    assert bool(decision.waits_for) is not released


def test_a_paused_batch_is_left_as_it_is():
    """Nothing is written, and nothing forgotten (S10)."""
    memory = BatchMemory(hunt=Memory(passes=3))
    decision = decide_batch(batch(paused=True), seen(job(SPOT[0], range(10))), memory)
    assert (decision.plan, decision.memory) == ((), memory)


def test_what_was_asked_for_must_not_change_on_the_way():
    """Shards would mean other pictures; nothing is done until it is undone."""
    begun = decide_batch(batch(), seen(), BatchMemory()).memory
    decision = decide_batch(batch(shard_size=20), seen(), begun)
    assert decision.plan == ()
    assert decision.conditions[0].status == "False"
    assert "shardSize" in decision.conditions[0].message


def test_a_changed_batch_is_still_held_to_its_cap():
    """What runs for it goes on and costs; it ends by what was asked for at first."""
    begun = decide_batch(batch(max_cost=1.0), seen(), BatchMemory()).memory
    spent = replace(begun, spent=0.999, rate=1.0, counted_at=NOW)
    decision = decide_batch(batch(max_cost=1.0, shard_size=20), seen(job(SPOT[0], range(10))), spent)
    assert decision.memory.reason == "CostCapReached"
    assert [type(action) for action in decision.plan] == [DeleteJob]


def test_a_paused_batch_that_is_over_has_nothing_taken_down():
    """A plan must not tell of what no pass does."""
    late = batch(paused=True, deadline=timedelta(minutes=1))
    assert decide_batch(late, seen(job(SPOT[0], range(10))), BatchMemory()).plan == ()


@pytest.mark.parametrize(
    ("memory", "ends"),
    [
        pytest.param({"spent": 1.0}, True, id="all is spent and nothing runs"),
        pytest.param({"spent": 0.995}, True, id="the rest buys nothing"),
        pytest.param({"spent": 0.5}, False, id="the rest buys something"),
        pytest.param({}, False, id="nothing was spent yet"),
    ],
)
def test_a_batch_whose_means_are_used_up_ends(memory, ends):
    """It would hunt for ever for what it may not pay: 0.25 $/h over two minutes' margin."""
    decision = decide_batch(batch(max_cost=1.0), seen(), BatchMemory(**memory))
    assert (decision.memory.reason == "CostCapReached") is ends


def test_what_may_still_run_in_a_silent_region_still_costs():
    """The rate is kept until the region is seen empty (S2)."""
    begun = decide_batch(batch(parallelism=1), seen(), BatchMemory()).memory
    (placed,) = {a.offering for a in begun.hunt.attempts}
    running = decide_batch(batch(parallelism=1), seen(job(placed, range(10))), begun).memory
    assert running.rate > 0
    gone = batch(parallelism=1, deleting=True)
    assert decide_batch(gone, seen(dark=(placed.cluster,)), running).memory.rate == running.rate
    assert decide_batch(gone, seen(), running).memory.rate == 0


def test_jobs_of_an_earlier_batch_of_this_name_count_for_nothing_and_go_first():
    """By their shards other pictures may have been meant: none of them is done."""
    old = job(SPOT[0], range(10), done=range(10), finished=True, owner="before")
    decision = decide_batch(batch(), seen(old), BatchMemory())
    assert [type(action) for action in decision.plan] == [DeleteJob]
    assert decision.memory.done == frozenset()
    own = decide_batch(batch(), seen(replace(old, owner="u1")), BatchMemory())
    assert own.memory.reason == "AllRendered"


def test_no_job_is_started_where_one_still_stands():
    """It would be refused, and nothing is taken away after a refusal: the old one would stand there for ever."""
    failed = [job(at, range(10), failed=range(10), finished=True, running=0, uid=at.region) for at in SPOT]
    decision = decide_batch(batch(), seen(*failed), BatchMemory())
    assert {type(action) for action in decision.plan} == {DeleteJob}


def test_two_batches_with_the_same_folder_are_rendered_one_after_the_other():
    """Both at once would write over each other's pictures."""
    decision = decide_batch(batch(), replace(seen(), behind="default/dogs"), BatchMemory())
    assert decision.plan == ()
    assert "default/dogs renders into the same folder" in decision.conditions[-1].message


def test_a_worker_that_cannot_start_is_told():
    """Its image, say, is wrong: it holds a GPU and renders nothing."""
    stuck = job(SPOT[0], range(10), stuck="ImagePullBackOff: no such image")
    (progress,) = [c for c in decide_batch(batch(), seen(stuck), BatchMemory()).conditions if c.type == "Progressing"]
    assert "ImagePullBackOff: no such image" in progress.message


def test_a_batch_gives_way_where_a_service_asks_and_rests_where_one_was_refused():
    """The rest for a service's sake is not remembered; what a service learnt is."""
    refused = OfferingMemory(
        failures=2, not_before=NOW + timedelta(minutes=9), last_refusal=RefusalClass.STOCK_OUT, last_refused_at=NOW
    )
    asking = Attempt(SPOT[0], NOW, NOW + timedelta(minutes=15), 1)
    ahead = ahead_of([Memory(attempts=(asking,), offerings={SPOT[1].key: refused})])
    decision = decide_batch(batch(), seen(ahead=ahead), BatchMemory())
    assert [a.offering for a in decision.plan if isinstance(a, StartJob)] == [SPOT[2]]
    assert SPOT[0].key not in decision.memory.hunt.offerings
    assert decision.memory.hunt.offerings[SPOT[1].key].not_before == refused.not_before


def test_a_silent_region_is_replaced_and_its_job_is_left_alone():
    """Its shards stand in the others' Jobs already; whether it still renders, nobody knows."""
    before = decide_batch(batch(parallelism=1), seen(), BatchMemory()).memory
    (placed,) = {a.offering for a in before.hunt.attempts}
    running = decide_batch(batch(parallelism=1), seen(job(placed, range(10))), before).memory
    silent = replace(running, hunt=replace(running.hunt, unknown_since={placed.cluster.link: NOW - timedelta(hours=1)}))
    decision = decide_batch(batch(parallelism=1), seen(dark=(placed.cluster,)), silent)
    assert [type(a) for a in decision.plan] == [StartJob]
    assert decision.plan[0].offering != placed
