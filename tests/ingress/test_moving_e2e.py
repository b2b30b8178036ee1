"""A service behind a multi-cluster Gateway, and its moves between both kinds of ingress, on the local cloud."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from controlplane.bench.world import KEY, World, service, small, world
from controlplane.clock import SystemClock
from controlplane.demo.acts import ask
from controlplane.demo.traffic import Traffic
from controlplane.gateways.errors import Gone
from controlplane.gateways.resources import Resource
from controlplane.localcloud import control

GATEWAY, INGRESS = "MultiClusterGateway", "MultiClusterIngress"
KINDS = {
    GATEWAY: ("Gateway", "HTTPRoute"),
    INGRESS: ("MultiClusterIngress", "MultiClusterService"),
}
LEFTOVERS = [
    Resource("gateway.networking.k8s.io", "v1", "gateways"),
    Resource("gateway.networking.k8s.io", "v1", "httproutes"),
    Resource("networking.gke.io", "v1", "gcpbackendpolicies"),
    Resource("networking.gke.io", "v1", "healthcheckpolicies"),
    Resource("networking.gke.io", "v1", "multiclusteringresses"),
    Resource("networking.gke.io", "v1", "multiclusterservices"),
    Resource("cloud.google.com", "v1", "backendconfigs"),
    Resource("net.gke.io", "v1", "serviceexports"),
    Resource("net.gke.io", "v1", "serviceimports"),
    Resource("apps", "v1", "deployments"),
]


def manifest(kind: str | None) -> dict:
    """Give a service of two replicas in two regions."""
    made = service(2, 1)
    made["spec"]["ingress"] = {"healthPath": "/healthz", "draining": "2s", "checkInterval": "1s", "timeout": "30s"}
    if kind:
        made["spec"]["ingress"]["kind"] = kind
    return made


def status(cloud: World) -> dict:
    found = cloud.app.services(*KEY)
    return found[0].get("status", {}) if found else {}


def until(cloud: World, what: str, done: Callable[[], bool], *, seconds: float = 200) -> None:
    """Make passes until something holds."""
    end = cloud.clock.monotonic() + seconds
    while not done():
        assert cloud.clock.monotonic() < end, f"waited for {what}; status: {status(cloud)}"
        cloud.app.run_pass(keep_lease=True)
        cloud.clock.sleep(0.2)


def wired(cloud: World) -> set[str]:
    return {found["kind"] for found in cloud.app.ingress_objects(*KEY)}


class Follower:
    """A client that looks up the address for every request, as one with a name from the status would."""

    def __init__(self, cloud: World) -> None:
        self.address, self.ok, self.errors = str(status(cloud)["address"]), 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.wait(0.02):
            host, _, port = self.address.partition(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            try:
                connection.request("GET", "/about")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status == 200:
                    self.ok += 1
                else:
                    self.errors.append(f"{self.address}: {answer.status}: {body[:80]!r}")
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(f"{self.address}: {error!r}")
            finally:
                connection.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)


@contextmanager
def follower(cloud: World) -> Iterator[Follower]:
    made = Follower(cloud)
    try:
        yield made
    finally:
        made.stop()
    assert made.errors == []
    assert made.ok > 20


def move(cloud: World, client: Follower, kind: str) -> None:
    """Change the kind; a client of the old address is served until the new one is told, and all the time by name."""
    old = str(status(cloud)["address"])
    kept = Traffic(old, cloud.clock, workers=2, paths=("/about",))
    kept.start()
    cloud.app.apply([manifest(kind)])
    until(cloud, "the new address", lambda: status(cloud)["address"] != old)
    told = {c["type"]: c for c in status(cloud)["conditions"]}["AddressReady"]
    assert (told["status"], told["reason"]) == ("True", "AddressMoved")
    assert old in told["message"]
    client.address = str(status(cloud)["address"])
    tally = kept.stop()
    assert (tally.failed, tally.errors) == (0, ())
    assert tally.ok > 20
    until(cloud, "the old wiring to be gone", lambda: wired(cloud) == set(KINDS[kind]))
    cloud.until_quiet()


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_a_gateway_serves_through_the_loss_of_a_region_and_leaves_nothing() -> None:
    """Applied with the Gateway it serves; a region falls and no request fails; deleted, nothing is left anywhere."""
    clock = SystemClock()
    with world(clock, small()) as cloud:
        cloud.app.apply([manifest(GATEWAY)])
        address = cloud.until_serving(2)
        until(cloud, "the address", lambda: _answers(cloud))
        assert wired(cloud) == set(KINDS[GATEWAY])
        cloud.until_quiet()
        exported = _exporting(cloud)
        assert len(exported) == 2
        struck = str(ask(address)["region"])
        with follower(cloud):
            control.call(cloud.state_dir, "region-down", region=struck)
            until(cloud, "another region", lambda: len(_regions(cloud) - {struck}) == 2)
            control.call(cloud.state_dir, "region-up", region=struck)
            cloud.until_quiet()
        assert {link.split("/")[0] for link in _exporting(cloud)} == _regions(cloud)
        cloud.app.delete(*KEY)
        until(cloud, "the service to be gone", lambda: not cloud.app.services(*KEY))
        until(cloud, "nothing to be left", lambda: _left(cloud) == [])


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_moving_to_the_gateway_and_back_fails_no_request() -> None:
    """From MultiClusterIngress to the Gateway and back under traffic: the address changes, no request fails."""
    clock = SystemClock()
    with world(clock, small()) as cloud:
        cloud.app.apply([manifest(None)])
        cloud.until_serving(2)
        until(cloud, "the address", lambda: _answers(cloud))
        cloud.until_quiet()
        with follower(cloud) as client:
            move(cloud, client, GATEWAY)
            move(cloud, client, INGRESS)
        assert _exporting(cloud) == set()
        assert "ingressKinds" not in status(cloud)
        cloud.app.delete(*KEY)
        until(cloud, "the service to be gone", lambda: not cloud.app.services(*KEY))
        until(cloud, "nothing to be left", lambda: _left(cloud) == [])


def _answers(cloud: World) -> bool:
    try:
        return bool(ask(str(status(cloud)["address"]))["region"])
    except (OSError, ValueError, KeyError):
        return False


def _regions(cloud: World) -> set[str]:
    return {name for name in str(status(cloud).get("regions", "")).split(",") if name}


def _apis(cloud: World) -> dict[str, object]:
    """Give a client of every cluster, by link."""
    reconciler = cloud.app.reconciler
    listing = reconciler._gateways.fleet.listing(reconciler._gateways.desk.connected)
    members = {ref.link: reconciler._gateways.members.member(ref, e)._api for ref, e in listing.endpoints.items()}
    return {**members, "config": cloud.app._config.api()}


def _exporting(cloud: World) -> set[str]:
    exports = Resource("net.gke.io", "v1", "serviceexports")
    return {link for link, api in _apis(cloud).items() if link != "config" and api.list(exports)}


def _left(cloud: World) -> list[str]:
    found = []
    for link, api in _apis(cloud).items():
        for resource in LEFTOVERS:
            try:
                found += [f"{link} {resource.plural}/{item['metadata']['name']}" for item in api.list(resource)]
            except Gone:
                continue
    return found
