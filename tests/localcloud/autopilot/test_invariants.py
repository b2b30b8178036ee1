"""What holds whatever happens: no GPU is counted twice or forgotten, and the ledger is what the nodes are."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.localcloud.autopilot import names
from controlplane.localcloud.stock.ledger import Pool, Refused, Stock

POOLS = [Pool(f"us-central1-{zone}", "nvidia-l4", capacity) for zone in "ab" for capacity in ("spot", "on-demand")]
STOCK = {(zone, "nvidia-l4", capacity): 2 for zone in "ab" for capacity in ("spot", "on-demand")}
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)

ledger_steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from(POOLS), st.integers(0, 9)),
        st.tuples(st.just("give"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("out"), st.sampled_from(POOLS)),
        st.tuples(st.just("restock"), st.sampled_from(POOLS)),
        st.tuples(st.just("down")),
        st.tuples(st.just("up")),
    ),
    max_size=30,
)


@relaxed
@given(steps=ledger_steps)
def test_a_pool_never_gives_more_than_it_has(make_world, steps):
    """Free is never negative, a taken GPU was free, and what is held is what was taken and not given back."""
    stock = Stock(make_world(STOCK).scenario)
    held = {}
    for kind, *rest in steps:
        if kind == "take":
            pool, holder = rest
            free = stock.free(pool)
            try:
                stock.take(pool, 1, f"gpu/{holder}")
            except Refused:
                assert free == 0
            else:
                assert holder in held or free > 0
                held.setdefault(holder, pool)
        elif kind == "give":
            holder, lost = rest
            held.pop(holder, None)
            stock.give_back(f"gpu/{holder}", lost=lost)
        elif kind in ("out", "restock"):
            (pool,) = rest
            change = stock.stock_out if kind == "out" else stock.restock
            change(pool.zone, pool.accelerator, pool.capacity)
        else:
            (stock.region_down if kind == "down" else stock.region_up)("us-central1")
        for state in stock.pools():
            assert state.free >= 0
            assert state.in_use == sum(pool == state.pool for pool in held.values())


cluster_steps = st.lists(
    st.sampled_from(
        ["spot", "on-demand", "delete", "preempt", "out", "restock", "down", "up", "delete-node", "wait", "restart"]
    ),
    min_size=3,
    max_size=14,
)


@relaxed
@given(steps=cluster_steps)
def test_gpus_in_use_are_the_gpus_of_the_nodes(make_world, steps):
    """After any sequence of events, once things have settled, the ledger and the cluster agree."""
    world = make_world(STOCK)
    made = 0

    async def act(step):
        nonlocal made
        if step in ("spot", "on-demand"):
            made += 1
            world.pod(f"pod-{made}", spot=step == "spot")
        elif step == "delete" and (pods := world.api.list("pods")):
            world.delete(pods[0]["metadata"]["name"])
        elif step == "preempt":
            world.autopilot.preempt(count=1)
        elif step in ("out", "restock"):
            (world.stock.stock_out if step == "out" else world.stock.restock)("us-central1")
        elif step in ("down", "up"):
            (world.stock.region_down if step == "down" else world.stock.region_up)("us-central1")
        elif step == "delete-node" and world.nodes():
            world.api.delete("nodes", world.nodes()[0])
        await world.clock.advance(45)

    async def until_restart():
        while steps and steps[0] != "restart":
            await act(steps.pop(0))
        if not steps:
            for pod in world.api.list("pods"):  # nothing more is ordered, and what is on its way arrives
                world.delete(pod["metadata"]["name"])
            await world.clock.advance(200)

    steps = list(steps)
    world.play(until_restart)
    while steps:
        steps.pop(0)
        world.start()
        world.play(until_restart)
    nodes = world.api.list("nodes")
    in_use = sum(state.in_use for state in world.stock.pools())
    assert in_use == sum(int(node["status"]["capacity"].get(names.GPU, "0")) for node in nodes)
