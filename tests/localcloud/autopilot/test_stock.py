"""The ledger of GPUs: taking, giving back, selling out, quotas, regions, keeping."""

import json

import pytest

from controlplane.localcloud.clock import VirtualClock
from controlplane.localcloud.scenario import ClusterSpec, QuotaLimit, Region, Scenario, StockEntry, Trace
from controlplane.localcloud.stock.ledger import Pool, QuotaExceeded, Stock, StockError, StockOut
from controlplane.localcloud.stock.replay import TraceReplay

A = Pool("us-central1-a", "nvidia-l4", "spot")
B = Pool("us-central1-b", "nvidia-l4", "spot")
ON_DEMAND = Pool("us-central1-a", "nvidia-l4", "on-demand")


@pytest.fixture
def world(tmp_path):
    def world(**more):
        config = ClusterSpec("config", "us-west2", ("us-west2-a",), "p")
        member = ClusterSpec("gpu", "us-central1", ("us-central1-a", "us-central1-b"), "p")
        entries = [(A, 2), (B, 1), (ON_DEMAND, 1)]
        return Scenario(
            name="test",
            path=tmp_path,
            project="p",
            project_number=1,
            config_cluster=config,
            clusters=(member,),
            regions=(Region("us-west2", ("us-west2-a",)), Region("us-central1", member.zones)),
            stock=tuple(StockEntry(p.zone, p.accelerator, p.capacity, n) for p, n in entries),
            **more,
        )

    return world


def test_gpus_are_taken_until_none_is_left_and_come_back(world):
    """A pool gives what it has, refuses the next, and gives again what came back."""
    stock = Stock(world())
    stock.take(A, 1, "gpu/n1")
    stock.take(A, 1, "gpu/n2")
    with pytest.raises(StockOut, match="us-central1-a"):
        stock.take(A, 1, "gpu/n3")
    stock.give_back("gpu/n1")
    stock.take(A, 1, "gpu/n3")
    assert stock.in_use(A) == 2


def test_taking_and_giving_back_twice_changes_nothing(world):
    """A holder holds once, whatever is repeated."""
    stock = Stock(world())
    stock.take(A, 1, "gpu/n1")
    stock.take(A, 1, "gpu/n1")
    assert stock.free(A) == 1
    stock.give_back("gpu/n1")
    stock.give_back("gpu/n1", lost=True)
    assert stock.free(A) == 2


def test_a_node_that_exists_is_claimed_whatever_the_stock_says(world):
    """After a restart, what runs keeps running, even where the stock has gone."""
    stock = Stock(world())
    stock.stock_out("us-central1")
    stock.claim(ON_DEMAND, 1, "gpu/n1")
    assert stock.in_use(ON_DEMAND) == 1
    assert stock.free(ON_DEMAND) == 0


def test_lost_gpus_do_not_come_back_until_a_restock(world):
    """What somebody else has after a preemption is gone; a restock brings back the scenario's count."""
    stock = Stock(world())
    stock.take(B, 1, "gpu/n1")
    stock.give_back("gpu/n1", lost=True)
    assert stock.free(B) == 0
    stock.restock("us-central1-b")
    assert stock.free(B) == 1


def test_a_stock_out_leaves_what_runs_and_refuses_what_is_new(world):
    """Sold out is a state; a restock ends it with what was there."""
    stock = Stock(world())
    stock.take(A, 1, "gpu/n1")
    assert set(stock.stock_out("us-central1", "nvidia-l4", "spot")) == {A, B}
    assert stock.in_use(A) == 1
    with pytest.raises(StockOut):
        stock.take(B, 1, "gpu/n2")
    stock.take(ON_DEMAND, 1, "gpu/n3")
    stock.restock("us-central1")
    assert stock.free(A) == 1


def test_a_restock_can_name_how_many_are_free(world):
    """`count` is what new nodes can get, on top of what is in use."""
    stock = Stock(world())
    stock.take(A, 2, "gpu/n1")
    stock.restock("us-central1-a", "nvidia-l4", "spot", 5)
    assert stock.free(A) == 5


@pytest.mark.parametrize(
    ("region", "metric", "said"),
    [
        pytest.param("us-central1", "PREEMPTIBLE_NVIDIA_L4_GPUS", "in region us-central1", id="regional"),
        pytest.param("", "GPUS_ALL_REGIONS", "globally", id="project"),
    ],
)
def test_a_quota_refuses_before_the_stock_does(world, region, metric, said):
    """Spot draws on the preemptible quota of its region and on the project's."""
    stock = Stock(world(quotas=(QuotaLimit(metric, 1, region),)))
    stock.take(A, 1, "gpu/n1")
    with pytest.raises(QuotaExceeded, match=f"Quota '{metric}' exceeded.  Limit: 1.0 {said}"):
        stock.take(A, 1, "gpu/n2")
    assert [(q.limit, q.usage) for q in stock.quotas(region)] == [(1, 1)]


def test_spot_does_not_use_the_on_demand_quota(world):
    """The two capacity types have metrics of their own."""
    stock = Stock(world(quotas=(QuotaLimit("NVIDIA_L4_GPUS", 0, "us-central1"),)))
    stock.take(A, 1, "gpu/n1")
    with pytest.raises(QuotaExceeded):
        stock.take(ON_DEMAND, 1, "gpu/n2")


def test_a_quota_can_be_changed_while_it_runs(world):
    """A raised limit lets the next one through; a metric that did not exist can be set."""
    stock = Stock(world(quotas=(QuotaLimit("PREEMPTIBLE_NVIDIA_L4_GPUS", 0, "us-central1"),)))
    stock.set_quota("PREEMPTIBLE_NVIDIA_L4_GPUS", 1, "us-central1")
    stock.take(A, 1, "gpu/n1")
    stock.set_quota("GPUS_ALL_REGIONS", 1)
    with pytest.raises(QuotaExceeded):
        stock.take(A, 1, "gpu/n2")


def test_a_region_that_is_down_gives_nothing(world):
    """Down and up again."""
    stock = Stock(world())
    stock.region_down("us-central1")
    assert stock.is_down("us-central1")
    with pytest.raises(StockOut):
        stock.take(A, 1, "gpu/n1")
    stock.region_up("us-central1")
    stock.take(A, 1, "gpu/n1")


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        pytest.param(lambda s: s.stock_out("mars"), "unknown region or zone 'mars'; use one of", id="place"),
        pytest.param(lambda s: s.stock_out("us-central1", "nvidia-x"), "unknown accelerator", id="gpu"),
        pytest.param(lambda s: s.restock(capacity="free"), "unknown capacity type", id="capacity"),
        pytest.param(lambda s: s.stock_out("us-west2"), "us-west2 has no GPUs", id="no-gpus-there"),
        pytest.param(lambda s: s.stock_out("us-central1", "nvidia-b200"), "has no nvidia-b200", id="not-offered"),
        pytest.param(lambda s: s.restock(count=-1), "count -1 is negative", id="negative"),
        pytest.param(lambda s: s.region_down("us-central1-a"), "unknown region", id="zone-as-region"),
        pytest.param(lambda s: s.set_quota("X", 1, "us-central1"), "unknown quota metric", id="metric"),
        pytest.param(lambda s: s.set_quota("NVIDIA_L4_GPUS", 1), "is a regional quota", id="no-region"),
        pytest.param(lambda s: s.set_quota("GPUS_ALL_REGIONS", float("nan")), "not a usable number", id="nan"),
    ],
)
def test_a_wish_that_names_nothing_says_what_there_is(world, wish, said):
    """Every wrong name is one line with a remedy, and nothing changes."""
    stock = Stock(world())
    before = stock.to_state()
    with pytest.raises(StockError, match=said) as caught:
        wish(stock)
    assert "; " in str(caught.value)
    assert stock.to_state() == before


def test_what_was_changed_outlives_the_daemon(world):
    """State goes through JSON and back; claims come from the nodes and are not part of it."""
    stock = Stock(world(quotas=(QuotaLimit("GPUS_ALL_REGIONS", 4),)))
    stock.take(A, 1, "gpu/n1")
    stock.take(B, 1, "gpu/n2")
    stock.give_back("gpu/n2", lost=True)
    stock.stock_out("us-central1-a", capacity="on-demand")
    stock.region_down("us-west2")
    stock.set_quota("GPUS_ALL_REGIONS", 9)
    again = Stock(world())
    again.from_state(json.loads(json.dumps(stock.to_state())))
    assert (again.free(A), again.free(B), again.free(ON_DEMAND)) == (2, 0, 0)
    assert again.regions_down == ("us-west2",)
    assert again.quotas()[0].limit == 9


def test_listeners_hear_of_every_change_until_they_leave(world):
    """Nobody needs to poll the stock."""
    stock, heard = Stock(world()), []
    leave = stock.subscribe(lambda: heard.append(stock.free(A)))
    stock.take(A, 1, "gpu/n1")
    stock.stock_out("us-central1")
    leave()
    stock.restock()
    assert heard == [1, 0]


def test_a_trace_sets_the_stock_as_time_passes_and_starts_again(world):
    """Each step has its count; after the last comes the first."""
    import asyncio

    trace = Trace("nvidia-l4", "spot", 600, {"us-central1-a": (3, 3, 0)}, speed=60)

    async def play():
        clock, stock = VirtualClock(), Stock(world(traces=(trace,)))
        task = asyncio.create_task(TraceReplay((trace,), stock, clock).run())
        seen = []
        for _ in range(5):
            await clock.advance(0)
            seen.append(stock.free(A))
            await clock.advance(10)
        task.cancel()
        return seen

    assert asyncio.run(play()) == [3, 3, 0, 3, 3]


def test_a_replayed_pool_is_short_by_what_stays_beyond_its_count(world):
    """A node with its notice is not counted twice, and lost GPUs do not change what the trace says."""
    trace = Trace("nvidia-l4", "spot", 600, {"us-central1-a": (2, 1)})
    stock = Stock(world(traces=(trace,)))
    stock.set_total(A, 2)
    stock.take(A, 1, "gpu/n1")
    stock.take(A, 1, "gpu/n2")
    stock.set_total(A, 1)
    assert stock.shortage(A) == 1
    stock.mark_going("gpu/n1")
    assert stock.shortage(A) == 0
    stock.give_back("gpu/n1", lost=True)
    assert stock.shortage(A) == 0
    assert stock.free(A) == 0


def test_a_limit_over_families_binds_the_newest_types(world):
    """As Compute Engine refuses it: the quota's name without the family, in the region."""
    stock = Stock(world(quotas=(QuotaLimit("GPUS_PER_GPU_FAMILY/NVIDIA_H100", 0, "us-central1"),)))
    with pytest.raises(
        QuotaExceeded, match=r"Quota 'GPUS_PER_GPU_FAMILY' exceeded\.  Limit: 0\.0 in region us-central1"
    ):
        stock.take(Pool("us-central1-a", "nvidia-h100-80gb", "on-demand"), 1, "gpu/n1")
