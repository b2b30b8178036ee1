"""What users can rely on when others are there, measured on a simulated device with realistic durations."""

import random

import pytest

BURST = 40


def alone_seconds(make_world, **settings):
    world = make_world()
    world.learn()
    asked = world.ask("bea", **settings)
    world.finish()
    return world.seconds(asked)


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.21, 0.42, 0.7, 1.1], ids=lambda moment: f"after {moment} s")
@pytest.mark.parametrize("steps", [8, 20], ids=lambda steps: f"{steps} steps")
def test_a_burst_at_most_doubles_another_users_single_request(make_world, moment, steps):
    """One user's 40 requests delay another's single one to at most twice its time alone."""
    world = make_world()
    world.learn()
    begun = world.clock.now
    burst = [world.ask("anna") for _ in range(BURST)]
    world.until(begun + moment)
    single = world.ask("bea", steps=steps)
    world.finish()
    assert world.seconds(single) <= 2.0 * alone_seconds(make_world, steps=steps)
    assert len(burst[-1].pictures) == 1


@pytest.mark.parametrize(
    ("single_side", "burst_side", "factor"), [(128, 64, 2.0), (64, 128, 2.5)], ids=["larger single", "larger burst"]
)
def test_a_burst_of_another_size_does_not_hold_up_either(make_world, single_side, burst_side, factor):
    """Pictures that cannot share calls take turns; one call of large pictures is all that a small one waits for."""
    for moment in (0.0, 0.3, 0.6, 0.9):
        world = make_world()
        world.learn()
        begun = world.clock.now
        for _ in range(BURST):
            world.ask("anna", side=burst_side)
        world.until(begun + moment)
        single = world.ask("bea", side=single_side)
        world.finish()
        assert world.seconds(single) <= factor * alone_seconds(make_world, side=single_side)


def test_many_strangers_at_once_share_full_calls(make_world):
    """Forty requests of forty users are drawn in calls that are as full as they may be."""
    world = make_world(pictures=16)
    world.learn()
    asked = [world.ask(f"user {number}", steps=8 + number % 5 * 3) for number in range(BURST)]
    world.finish()
    full = [step for step in world.device.steps if len(step) == 16]
    assert len(full) >= 0.5 * len(world.device.steps)
    assert all(len(each.pictures) == 1 for each in asked)


def test_a_stream_near_capacity_waits_half_as_long_as_one_at_a_time(make_world):
    """With arrivals at nine tenths of serial capacity, the 95th percentile is at most half of a serial server's."""
    chance = random.Random(5)
    world = make_world()
    world.learn()
    device = world.device
    work = [chance.choice([8, 10, 12, 16, 20]) for _ in range(150)]
    serial = [device.encode + device.decode + steps * (device.call + 2 * device.row) for steps in work]
    mean = sum(serial) / len(serial)
    start, came, asked = world.clock.now, 0.0, []
    free, waits = 0.0, []
    for number, (steps, seconds) in enumerate(zip(work, serial, strict=True)):
        came += chance.expovariate(0.9 / mean)
        world.until(start + came)
        asked.append(world.ask(f"user {number}", steps=steps))
        asked[-1].job.submitted = start + came
        free = max(free, came) + seconds
        waits.append(free - came)
    world.finish()
    taken = sorted(world.seconds(each) for each in asked)
    at = int(0.95 * len(taken))
    assert taken[at] <= 0.5 * sorted(waits)[at]


def test_a_users_requests_are_served_in_their_order(make_world):
    """Requests of one user with equal settings end in the order in which they came."""
    world = make_world()
    world.learn()
    asked = [world.ask("anna") for _ in range(12)]
    world.finish()
    assert [each.ended for each in asked] == sorted(each.ended for each in asked)


def test_a_large_request_is_not_starved_by_small_ones(make_world):
    """A long request ends although another user's short ones never stop coming."""
    world = make_world()
    world.learn()
    large = world.ask("anna", side=128, steps=60)
    alone = alone_seconds(make_world, side=128, steps=60)
    number = 0
    while large.end is None:
        world.ask(f"user {number}", steps=8)
        number += 1
        world.turn(4)
        assert world.clock.now - large.job.submitted < 12 * alone
    assert len(large.pictures) == 1


def test_idle_capacity_that_was_used_is_no_debt(make_world):
    """Who drew a lot while nobody else was there is served like anybody else afterwards."""
    world = make_world()
    world.learn()
    for _ in range(100):
        world.ask("anna")
    world.finish()
    first, second = world.ask("anna"), world.ask("bea")
    world.finish()
    assert world.seconds(first) <= 1.2 * world.seconds(second)
