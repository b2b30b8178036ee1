"""GPUBatches on the whole local cloud in virtual time: what is rendered, where, and what becomes of losses.

The workers are imitated: each takes a set time for a picture, writes it into a bucket in memory, skips what is there,
and leaves in its termination message what the real one leaves. Everything else is real: the engine, the clients over
sockets, the Jobs, the autoscaler with its stock.
"""

import asyncio
import json
import logging
import random
from pathlib import Path

import pytest
import structlog
import uvloop

from controlplane.api.crd import batch_definition, custom_resource_definition
from controlplane.gateways.resources import GPU_BATCHES
from controlplane.model.batch import numbers_of

# A whole local cloud, though nothing waits on the wall clock: it must not take the processor from those that do.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

REGIONS = ("asia-northeast1", "europe-west4", "us-central1")
L4 = "nvidia-l4"
SECONDS_A_PICTURE = 6.0
DELAYS = {"provisioning": 30, "boot": 5, "refusal": 20, "image_pull": 0, "load_balancer": 1, "scale_down": 1}


class Bucket:
    """Where workers put pictures: how often each was rendered, where, and which cannot be."""

    def __init__(self, size, poisoned=(), broken=()):
        self.size, self.poisoned, self.broken = size, frozenset(poisoned), frozenset(broken)
        self.rendered, self.regions, self.skipped = {}, {}, 0

    def ending(self, virtual):
        def make(command, clock):
            words = list(command.argv)
            if "render" not in words:
                return None
            return Worker(self, command, clock, virtual)

        return make


class Worker:
    """A container that renders one shard and ends by itself."""

    pid = 1

    def __init__(self, bucket, command, clock, virtual):
        words, self._env = list(command.argv), command.env
        shards = numbers_of(words[words.index("--shards") + 1])
        index = int(words[words.index("--shard-index") + 1])
        self._shard = shards[index]
        self._size = int(words[words.index("--shard-size") + 1])
        self._bucket, self._clock = bucket, clock
        loop = asyncio.get_running_loop()
        self._exit = loop.create_future()
        self._work = loop.create_task(self._render())

    async def _render(self):
        bucket, failed = self._bucket, 0
        if self._shard in bucket.broken:
            await self._clock.sleep(1)
            self._end(1)
            return
        first = self._shard * self._size
        pictures = range(first, min(first + self._size, bucket.size))
        chance = random.Random(self._env["HOSTNAME"])
        for picture in chance.sample(pictures, len(pictures)):
            if picture in bucket.rendered:
                bucket.skipped += 1
                continue
            await self._clock.sleep(SECONDS_A_PICTURE)
            if picture in bucket.poisoned:
                failed += 1
                continue
            bucket.rendered[picture] = bucket.rendered.get(picture, 0) + 1
            bucket.regions[picture] = self._env["GPU_HUNTER_REGION"]
        self._leave(failed)
        self._end(0)

    def _leave(self, failed):
        Path(self._env["GPU_HUNTER_TERMINATION_LOG"]).write_text(json.dumps({"failed": failed}))

    def _end(self, code):
        if not self._exit.done():
            self._exit.set_result(code)

    async def wait(self):
        return await asyncio.shield(self._exit)

    def stop(self, grace):
        self._work.cancel()
        self._end(75)

    def kill(self):
        self._work.cancel()
        self._end(137)


def scenario(stock):
    """Give a cloud of three regions with so many Spot L4 each, and no on-demand ones unless told."""
    counts = {region: (n if isinstance(n, dict) else {"spot": n, "on-demand": 0}) for region, n in stock.items()}
    prices = {"on-demand": 0.7, "spot": 0.25}
    return {
        "name": "batches",
        "project": "gpu-hunter-local",
        "client_region": "us-central1",
        "config_cluster": {"name": "hunt-config", "location": "us-west2", "zones": ["us-west2-a"]},
        "clusters": [{"name": f"gpu-{region}", "location": region, "zones": [f"{region}-a"]} for region in REGIONS],
        "stock": {f"{region}-a": {L4: counts[region]} for region in REGIONS},
        "prices": {region: {L4: prices} for region in REGIONS},
        "delays": DELAYS,
        "load_balancer": {"port": 0},
    }


def batch(pictures, name="cats", **spec):
    return {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "GPUBatch",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "parameters": "gs://art/batches/cats.yaml",
            "output": "gs://art/pictures",
            "pictures": pictures,
            "shardSize": 10,
            "accelerators": [{"type": L4}],
            "worker": {"image": "gpu-hunter/sd-webui:1"},
            **spec,
        },
    }


class Story:
    """One cloud with batches, and what happens to it."""

    def __init__(self, cloud):
        self.cloud = cloud

    async def create(self, *objects):
        await self.cloud.objects(lambda api: [api.apply(d) for d in (custom_resource_definition(), batch_definition())])
        await self.cloud.advance(self.cloud.now + 5)
        await self.cloud.objects(lambda api: [api.apply(item) for item in objects])

    async def get(self, name="cats"):
        return await self.cloud.objects(lambda api: api.get(GPU_BATCHES, name, namespace="default"))

    async def passes(self, count=1, *, every=30):
        for _ in range(count):
            report = await self.cloud.run_pass()
            await self.cloud.advance(self.cloud.now + every)
        return report

    async def until_over(self, name="cats", *, most=60):
        for _ in range(most):
            await self.passes()
            found = await self.get(name)
            if found["status"]["phase"] in ("Succeeded", "Failed"):
                await self.passes(2)
                return (await self.get(name))["status"]
        raise AssertionError(f"not over: {found['status']}")

    async def pods(self):
        """Give how many containers run in each member."""
        members = (await self.cloud.call("status"))["clusters"]
        return {m["name"]: m["pods"] for m in members if m["role"] == "member"}


@pytest.fixture
def play(virtual_cloud, virtual, tmp_path):
    """Run a story on a fresh cloud: `play(story, stock, bucket)`."""

    def run(story, stock, bucket):
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

        async def main():
            ending = bucket.ending(virtual)
            async with virtual_cloud(tmp_path / "cloud", scenario(stock), starting=1, ending=ending) as cloud:
                return await story(Story(cloud))

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())

    return run


def test_a_batch_is_rendered_and_leaves_nothing(play):
    """Every picture but the poisoned one, which fails alone; neither Jobs nor GPUs are left; the status tells so."""
    bucket = Bucket(45, poisoned=[7])

    async def story(on):
        await on.create(batch(45, parallelism=3))
        status = await on.until_over()
        assert (status["phase"], status["done"], status["shards"], status["failed"]) == ("Succeeded", "44/45", "5/5", 1)
        complete = next(c for c in status["conditions"] if c["type"] == "Complete")
        assert (complete["status"], complete["reason"]) == ("True", "AllRendered")
        assert float(status["cost"]) > 0
        assert sum((await on.pods()).values()) == 0
        before = (await on.get())["metadata"]["resourceVersion"]
        await on.passes(3)
        assert (await on.get())["metadata"]["resourceVersion"] == before

    play(story, dict.fromkeys(REGIONS, 4), bucket)
    assert set(bucket.rendered) == set(range(45)) - {7}
    assert sum(bucket.rendered.values()) <= 45 + 5 * 3  # who help at the end may draw the same picture at once


def test_a_region_lost_and_workers_preempted_cost_no_picture(play):
    """200 pictures over three regions, one of them gone and every third worker preempted meanwhile: all are there."""
    bucket = Bucket(200)

    async def story(on):
        await on.create(batch(200, parallelism=6))
        await on.passes(7)
        assert len({bucket.regions[picture] for picture in bucket.rendered}) > 1
        await on.cloud.call("region-down", region="us-central1")
        for _ in range(2):
            await on.passes(2)
            await on.cloud.call("preempt", region="europe-west4", count=1)
        return await on.until_over()

    status = play(story, dict.fromkeys(REGIONS, 2), bucket)
    assert (status["phase"], status["done"]) == ("Succeeded", "200/200")
    assert set(bucket.rendered) == set(range(200))
    assert sum(bucket.rendered.values()) <= 200 + 6 * 6


def test_a_shard_that_always_fails_is_given_up_and_the_rest_is_rendered(play):
    """The batch has failed then, says which exit code it was, and lets a deletion through at once."""
    bucket = Bucket(30, broken=[1])

    async def story(on):
        await on.create(batch(30, retries=1))
        status = await on.until_over()
        assert (status["phase"], status["done"], status["failed"]) == ("Failed", "20/30", 10)
        complete = next(c for c in status["conditions"] if c["type"] == "Complete")
        assert complete["reason"] == "ShardsFailed"
        assert "exit code 1" in complete["message"]
        found = await on.get()
        await on.cloud.objects(
            lambda api: api.delete(GPU_BATCHES, "cats", namespace="default", uid=found["metadata"]["uid"])
        )
        await on.passes(2)
        assert await on.get() is None

    play(story, dict.fromkeys(REGIONS, 1), bucket)
    assert set(bucket.rendered) == {*range(10), *range(20, 30)}


def test_a_service_comes_first_and_a_batch_waits_for_stock(play):
    """Of the last GPUs the service gets its replica; the batch is rendered when there are some again."""
    bucket = Bucket(10)
    service = {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "GPUService",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "accelerators": [{"type": L4}],
            "capacityTypes": ["spot"],
            "pod": {"image": "gpu-hunter/demo-app:1", "port": 7860},
            "regions": {"allowed": ["us-central1"]},
        },
    }

    async def story(on):
        await on.create(batch(10, regions={"allowed": ["us-central1"]}), service)
        await on.passes(12)
        assert sum((await on.pods()).values()) == 1
        assert bucket.rendered == {}
        status = (await on.get())["status"]
        assert (status["phase"], status["workers"]) == ("Running", "0/1")
        await on.cloud.call("restock", region="us-central1", accelerator=L4, capacity="spot", count=1)
        return await on.until_over()

    status = play(story, {"asia-northeast1": 0, "europe-west4": 0, "us-central1": 1}, bucket)
    assert (status["phase"], status["done"]) == ("Succeeded", "10/10")
