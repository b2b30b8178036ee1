"""A whole local cloud in virtual time, with the engine on it over its real gateways, in which clusters come and go."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest
import structlog
import uvloop

MINUTE = 60
HERE, THERE = "us-central1", "us-east4"
DELAYS = {
    "provisioning": 30,
    "boot": 5,
    "refusal": 20,
    "image_pull": 0,
    "load_balancer": 1,
    "scale_down": 1,
    "spot_grace": 15,
    "backoff_initial": 1,
    "backoff_max": 1,
    "cluster_create": 150,
    "fleet_change": 20,
}
FLEET = {
    "apiVersion": "gpuhunter.dev/v1alpha1",
    "kind": "Fleet",
    "metadata": {"name": "default"},
    "spec": {
        "project": "gpu-hunter-local",
        "configCluster": "us-west2/hunt-config",
        "members": {"labels": {"team": "art"}},
        "clustersOnDemand": {"regions": [THERE], "max": 1, "idleAfter": "20m"},
    },
}
SERVICE = {
    "apiVersion": "gpuhunter.dev/v1alpha1",
    "kind": "GPUService",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 1,
        "accelerators": [{"type": "nvidia-l4"}],
        "capacityTypes": ["spot", "on-demand"],
        "pod": {"image": "gpu-hunter/demo-app:1", "port": 7860},
        "timing": {"stabilisationWindow": "2m", "minDwell": "2m", "backoff": {"initial": "2m", "max": "4m"}},
    },
}


def scenario():
    """Give a world whose one member has no GPUs, and a region with GPUs and without a cluster."""
    labels = {"team": "art"}
    return {
        "name": "growth",
        "project": "gpu-hunter-local",
        "client_region": HERE,
        "config_cluster": {"name": "hunt-config", "location": "us-west2", "zones": ["us-west2-a"], "labels": labels},
        "clusters": [{"name": f"gpu-{HERE}", "location": HERE, "zones": [f"{HERE}-a"], "labels": labels}],
        "regions": {THERE: [f"{THERE}-a"]},
        "stock": {
            f"{HERE}-a": {"nvidia-l4": {"on-demand": 0, "spot": 0}},
            f"{THERE}-a": {"nvidia-l4": {"on-demand": 2, "spot": 0}},
        },
        "quotas": {
            "project": {"GPUS_ALL_REGIONS": 8},
            "every_region": {"NVIDIA_L4_GPUS": 8, "PREEMPTIBLE_NVIDIA_L4_GPUS": 8},
        },
        "prices": {region: {"nvidia-l4": {"on-demand": 0.7, "spot": 0.3}} for region in (HERE, THERE)},
        "delays": DELAYS,
        "load_balancer": {"port": 0},
    }


@pytest.fixture(scope="session")
def grown_cloud(virtual_cloud):
    """Give what runs a story on such a cloud: a function of a folder and a coroutine function that is given it."""

    @asynccontextmanager
    async def opened(folder):
        async with virtual_cloud(folder, scenario(), starting=20) as cloud:
            await cloud.apply(FLEET, SERVICE)
            await cloud.run_pass(dry_run=True)  # imports the clients and opens connections, which takes seconds
            yield cloud

    def run(folder, story):
        async def told():
            async with opened(folder) as cloud:
                return await story(cloud)

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(told())

    return run
