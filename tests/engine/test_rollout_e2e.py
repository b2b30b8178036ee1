"""A new image on the local cloud: region by region, stopped at the first that does not get healthy, and back again."""

from collections.abc import Callable

import pytest

from controlplane.bench.world import KEY, World, answers, service, small, world
from controlplane.clock import SystemClock
from controlplane.demo.traffic import Traffic
from controlplane.gateways.resources import DEPLOYMENTS

GOOD, BETTER, TYPO = "gpu-hunter/demo-app:1", "gpu-hunter/demo-app:2", "gpu-hunter/demo-ap:2"


def manifest(image: str) -> dict:
    """Give a service of one replica in each of two regions."""
    made = service(2, 1)
    made["spec"]["pod"]["image"] = image
    made["spec"]["ingress"] = {"healthPath": "/healthz", "draining": "2s", "checkInterval": "1s", "timeout": "30s"}
    return made


def progressing(cloud: World) -> dict:
    """Give the condition Progressing."""
    return {c["type"]: c for c in cloud.app.services(*KEY)[0]["status"]["conditions"]}["Progressing"]


def images(cloud: World) -> list[str]:
    """Give the images that the Deployments of all members ask for."""
    gateways = cloud.app.reconciler._gateways
    members = [
        gateways.members.member(ref, place)
        for ref, place in gateways.fleet.listing(gateways.desk.connected).endpoints.items()
    ]
    bodies = [body for member in members for body in member._api.list(DEPLOYMENTS)]
    return sorted(body["spec"]["template"]["spec"]["containers"][0]["image"] for body in bodies)


def until(cloud: World, what: str, done: Callable[[], bool], *, seconds: float = 200) -> None:
    """Make passes until something holds."""
    end = cloud.clock.monotonic() + seconds
    while not done():
        assert cloud.clock.monotonic() < end, f"waited for {what}; {progressing(cloud)}; {images(cloud)}"
        cloud.app.run_pass(keep_lease=True)
        cloud.clock.sleep(0.2)


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_a_bad_image_stops_at_one_region_and_going_back_and_on_work_under_traffic() -> None:
    """A mistyped image reaches one region and fails no request; set back all is as before; a good one goes out."""
    with world(SystemClock(), small()) as cloud:
        cloud.app.apply([manifest(GOOD)])
        address = cloud.until_serving(2)
        until(cloud, "the address", lambda: answers(address))
        cloud.until_quiet()
        traffic = Traffic(address, cloud.clock, workers=2, paths=("/about",))
        traffic.start()
        try:
            cloud.app.apply([manifest(TYPO)])
            until(cloud, "the rollout to stop", lambda: progressing(cloud)["reason"] == "RolloutStopped")
            cloud.until_quiet()
            assert images(cloud) == [TYPO, GOOD]
            assert "set it back" in progressing(cloud)["message"]
            cloud.app.apply([manifest(GOOD)])
            until(cloud, "all to be as before", lambda: images(cloud) == [GOOD, GOOD])
            until(cloud, "rest", lambda: progressing(cloud)["reason"] == "Steady")
            cloud.app.apply([manifest(BETTER)])
            until(cloud, "the first region", lambda: images(cloud) == [GOOD, BETTER])
            until(cloud, "both regions", lambda: images(cloud) == [BETTER, BETTER])
            until(cloud, "rest again", lambda: progressing(cloud)["reason"] == "Steady")
        finally:
            tally = traffic.stop()
    assert (tally.failed, tally.errors) == (0, ())
    assert tally.ok > 20
