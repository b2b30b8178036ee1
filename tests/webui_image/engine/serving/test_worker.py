"""Requests come, go, fail and are handed back between two calls, each without harm to the others."""

import pytest

from webui_image.values.errors import HandedBack, NotFinite, NotReady, OutOfMemory, QueueFull, WebUIError
from webui_image.values.events import Cancelled, Failed, Finished, PictureDone, Queued, Step


def test_a_request_tells_its_place_its_steps_its_pictures_and_its_end(world):
    """Events come in order: queued, one for each step of each picture, the pictures, and one final event."""
    asked = world.ask(steps=3, count=2, seed=7)
    world.finish()
    assert [event for event in asked.events if isinstance(event, Queued)] == [Queued(0)]
    for index in range(2):
        steps = [event.step for event in asked.events if isinstance(event, Step) and event.index == index]
        assert steps[:2] == [1, 2]
        assert steps[-1] == 3
    assert [(done.index, done.seed) for done in asked.pictures] == [(0, 7), (1, 8)]
    assert isinstance(asked.end, Finished)
    assert (asked.end.model, asked.end.model_hash, asked.end.interrupted) == ("small", "ababababab", False)
    assert asked.end.seconds == pytest.approx(world.clock.now)


def test_places_in_the_queue_are_told_when_they_change(make_world):
    """Who waits hears its place at once, and each time it moves up."""
    world = make_world(pictures=1)
    asked = [world.ask(steps=2) for _ in range(3)]
    world.finish()
    assert [event.position for event in asked[2].events if isinstance(event, Queued)] == [2, 1, 0]


def test_cancelling_takes_effect_at_the_next_step(world):
    """A cancelled request makes no further step, and the others go on."""
    gone, other = world.ask("anna"), world.ask("bea")
    world.turn(5)
    steps = len(gone.events)
    gone.job.cancel()
    gone.job.cancel()
    world.finish()
    assert gone.events[steps:] == [Cancelled()]
    assert isinstance(other.end, Finished)


def test_a_request_cancelled_before_it_was_seen_ends_as_cancelled(world):
    """Cancelling may come before the engine's thread has looked at the request."""
    asked = world.ask()
    asked.job.cancel()
    world.finish()
    assert asked.events == [Cancelled()]
    assert world.device.steps == []


def test_interrupting_hands_over_what_there_is(make_world):
    """What is being drawn is handed over as it stands, and what is not begun is left out."""
    world = make_world(pictures=1)
    asked = world.ask(count=3)
    while not any(isinstance(event, Step) for event in asked.events):
        world.turn()
    asked.job.interrupt()
    world.finish()
    assert [(done.index, done.partial) for done in asked.pictures] == [(0, True)]
    assert isinstance(asked.end, Finished)
    assert asked.end.interrupted


def test_interrupting_before_the_first_step_ends_without_pictures(world):
    """An interrupted request that has nothing to show is finished all the same."""
    asked = world.ask()
    asked.job.interrupt()
    world.finish()
    assert asked.pictures == []
    assert asked.end is not None
    assert asked.end.interrupted


def test_skipping_hands_over_one_and_goes_on(make_world):
    """The picture being drawn is handed over as it stands; the next ones are drawn whole."""
    world = make_world(pictures=1)
    asked = world.ask(count=3, steps=4)
    while not any(isinstance(event, Step) for event in asked.events):
        world.turn()
    asked.job.skip()
    world.finish()
    assert [(done.index, done.partial) for done in asked.pictures] == [(0, True), (1, False), (2, False)]
    assert not asked.end.interrupted


def test_a_picture_whose_scheduler_fails_fails_alone(world):
    """An exception in one picture's own step ends its request; those in the same call are finished."""
    bad, good = world.ask("anna"), world.ask("bea")
    world.device.picture_fault = lambda picture: ValueError("no such index") if picture.user == "anna" else None
    world.finish()
    assert isinstance(bad.end, Failed)
    assert "no such index" in str(bad.end.error)
    assert isinstance(good.end, Finished)


def test_a_call_that_fails_for_all_is_made_for_each_alone(world):
    """Who is at fault is found by trying each alone; the others are finished."""
    bad, good = world.ask("anna"), world.ask("bea")

    def fault(pictures):
        if any(picture.user == "anna" for picture in pictures):
            raise RuntimeError("a shape does not fit")

    world.device.fault = fault
    world.finish()
    assert isinstance(bad.end, Failed)
    assert isinstance(good.end, Finished)


def test_short_memory_makes_calls_smaller_and_harms_nobody(world):
    """When a call does not fit into memory, calls get smaller until they do, and every request ends well."""
    world.learn()
    world.device.most_rows = 10
    asked = [world.ask(f"user {number}") for number in range(12)]
    world.finish()
    assert all(isinstance(each.end, Finished) for each in asked)
    assert max(len(step) for step in world.device.steps) <= 5


def test_only_the_request_that_cannot_fit_fails(world):
    """A picture without memory even alone fails, after memory was spared; others are finished."""

    def fault(pictures):
        if any(picture.group.width > 8 for picture in pictures):
            raise MemoryError("can't allocate memory")

    world.device.fault = fault
    large, small = world.ask("anna", side=128), world.ask("bea")
    world.finish()
    assert isinstance(large.end, Failed)
    assert isinstance(large.end.error, OutOfMemory)
    assert world.device.sparing
    assert isinstance(small.end, Finished)


def test_several_requests_in_a_row_without_memory_are_noticed_and_forgotten(world):
    """Request after request without memory means that the device is full, until it has been left alone for a while."""

    def fault(_pictures):
        raise MemoryError

    world.device.fault = fault
    for _ in range(3):
        assert not world.worker.short_of_memory
        world.ask()
        world.finish()
    assert world.worker.short_of_memory
    world.clock.now += 30
    assert not world.worker.short_of_memory


def test_a_picture_of_nan_fails_its_request_alone(world):
    """A picture that cannot be shown fails with the reason, and the other in the same call is shown."""
    bad, good = world.ask("anna"), world.ask("bea")
    whole = world.device.finish
    world.device.finish = lambda pictures: [
        NotFinite("NaN") if picture.user == "anna" else image
        for picture, image in zip(pictures, whole(pictures), strict=True)
    ]
    world.finish()
    assert isinstance(bad.end.error, NotFinite)
    assert isinstance(good.end, Finished)


def test_a_lost_device_fails_all_and_is_told(world):
    """After an error of the device itself everything is handed back, and the engine says that it is broken."""

    def fault(_pictures):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    asked = [world.ask("anna"), world.ask("bea")]
    world.device.fault = fault
    world.finish()
    assert all(isinstance(each.end.error, HandedBack) for each in asked)
    assert "illegal memory access" in world.worker.wedged


def test_a_listener_that_raises_harms_nobody(world):
    """An exception while an event is delivered is logged; the engine goes on."""
    asked, other = world.ask("anna"), world.ask("bea")

    def hear(_event):
        raise RuntimeError("gone")

    asked.job.deliver = hear
    world.finish()
    assert isinstance(other.end, Finished)


def test_limits_of_the_queue_name_a_time_to_come_back(make_world):
    """Beyond the user's or everybody's limit a request is refused, with the seconds after which there may be room."""
    world = make_world(queue=4, queue_per_user=2)
    world.ask("anna", steps=60)
    world.ask("anna", steps=60)
    with pytest.raises(QueueFull, match="you have 2 requests") as refused:
        world.ask("anna")
    assert 1.0 <= refused.value.retry_after <= 60.0
    world.turn()
    world.ask("bea")
    world.ask("cleo")
    with pytest.raises(QueueFull, match="queue is full"):
        world.ask("dora")
    world.finish()
    world.ask("anna")


def test_draining_finishes_what_fits_and_hands_back_the_rest_at_once(make_world):
    """What cannot be finished in the grace is handed back at the start of it, so that it is sent elsewhere early."""
    world = make_world(pictures=1)
    world.learn()
    asked = [world.ask(steps=20) for _ in range(6)]
    world.turn(3)
    begun = world.clock.now
    world.worker.drain(begun + 1.0)
    world.turn()
    handed_back = [each for each in asked if each.end is not None]
    assert handed_back
    assert all(isinstance(each.end.error, HandedBack) for each in handed_back)
    with pytest.raises(NotReady):
        world.ask()
    world.finish()
    finished = [each for each in asked if isinstance(each.end, Finished)]
    assert finished
    assert len(finished) + len(handed_back) == len(asked)
    assert world.clock.now - begun <= 1.05


def test_at_the_deadline_what_is_left_is_handed_back(world):
    """When calls take longer than was known, the deadline still holds."""
    world.learn()
    asked = world.ask(steps=20)
    world.turn()
    world.worker.drain(world.clock.now + 1.0)
    world.device.call = 0.3
    world.finish()
    assert isinstance(asked.end.error, HandedBack)


def test_a_call_beyond_its_watchdog_is_wedged(make_world):
    """While a call takes far longer than usual the engine says which; when it ends, all is well again."""
    world = make_world(watchdog=10)
    seen = []

    def fault(_pictures):
        seen.append(world.worker.wedged)
        world.clock.now += 300
        seen.append(world.worker.wedged)
        world.device.fault = lambda _pictures: None

    world.device.fault = fault
    world.ask()
    world.finish()
    assert seen[0] == ""
    assert "a step for 300 s" in seen[1]
    assert world.worker.wedged == ""


def test_a_fault_of_the_engine_itself_ends_all_requests_and_not_the_thread(world):
    """Whatever happens in a turn, requests get an answer and the thread goes on."""
    asked = world.ask()

    def fault(_group):
        raise RuntimeError("unforeseen")

    ready, world.device.ready = world.device.ready, fault
    world.worker._admit()
    calls = iter([True, True, False])
    world.worker._wait_for_work = lambda: next(calls)
    world.worker.run()
    world.device.ready = ready
    assert isinstance(asked.end, Failed)
    assert isinstance(asked.end.error, WebUIError)


def test_previews_come_where_they_are_asked_for_and_not_too_often(world):
    """Previews are spaced in time; requests that did not ask have none."""
    world.learn()
    asked, other = world.ask("anna", steps=60, previews=True), world.ask("bea", steps=60)
    world.finish()
    previews = [event.preview for event in asked.events if isinstance(event, Step) and event.preview is not None]
    assert 3 <= len(previews) <= 12
    assert all(event.preview is None for event in other.events if isinstance(event, Step))


def test_counts_tell_waiting_and_running_pictures(make_world):
    """Pictures between their first step and their end are running, all others are waiting."""
    world = make_world(pictures=1)
    asked = world.ask(count=3)
    assert world.worker.counts == (3, 0)
    while not any(isinstance(event, Step) for event in asked.events):
        world.turn()
    assert world.worker.counts == (2, 1)
    world.finish()
    assert world.worker.counts == (0, 0)


def test_what_happens_is_counted(make_world):
    """The observer hears of waits, calls, loads and memory."""

    class Heard:
        def __init__(self):
            self.all = []

        def __getattr__(self, name):
            return lambda *values: self.all.append((name, *values))

    world, heard = make_world(), Heard()
    world.worker.observe(heard)
    world.ask("anna", steps=2, count=2, model="other")
    world.finish()
    assert ("model_loaded", "other", pytest.approx(3.0, abs=0.1)) in heard.all
    assert ("memory", 1, 2) in heard.all
    assert [size for name, size, *_ in heard.all if name == "batch"][-1] == 2
    assert sum(name == "waited" for name, *_ in heard.all) == 1


def test_two_models_are_not_switched_at_every_step(world):
    """Requests for two models that do not fit together are drawn with few switches between them."""
    loads = []
    prepare = world.device.prepare

    def counting(picture):
        if picture.group.model not in world.device.loaded:
            loads.append(picture.group.model)
        prepare(picture)

    world.device.prepare = counting
    asked = [world.ask(f"user {number}", model=["small", "other"][number % 2]) for number in range(12)]
    world.finish()
    assert all(isinstance(each.end, Finished) for each in asked)
    assert len(loads) <= 3


def test_exact_requests_are_drawn_alone(world):
    """No step of an exact picture has company, though others are there."""
    asked = world.ask("anna", exact=True)
    others = [world.ask("bea") for _ in range(4)]
    world.finish()
    assert all(step == ["anna"] for step in world.device.steps if "anna" in step)
    assert isinstance(asked.end, Finished)
    assert all(len(each.pictures) == 1 for each in others)


def test_the_picture_done_carries_its_image(world):
    """The image that was decoded is handed over with its index."""
    asked = world.ask()
    world.finish()
    assert [done.image for done in asked.events if isinstance(done, PictureDone)] == ["picture 0"]
