"""Real API servers of the local cloud in this process, reached over sockets by the real client."""

import asyncio
import importlib.resources

import pytest
import yaml

from controlplane.api.crd import definitions
from controlplane.clock import SystemClock
from controlplane.gateways.kubeapi import Endpoint, KubernetesApi
from controlplane.gateways.retrying import Retrying
from controlplane.localcloud.apiserver.server import ApiServer
from controlplane.localcloud.clock import SystemClock as CloudClock
from controlplane.localcloud.faults import Fault, FaultBook
from controlplane.localcloud.serving import serve

USERS = {"admin-token": "admin", "reconciler-token": "reconciler"}


class Served:
    """One API server on a port."""

    def __init__(self, loop, name="member"):
        self.loop, self.name, self.faults = loop, name, FaultBook()
        self.server = ApiServer(name, clock=CloudClock(), database=None, authenticate=USERS.get, faults=self.faults)
        self.http = self.run(serve(self.server.app, "127.0.0.1", 0, None, None))
        self.url = f"http://127.0.0.1:{self.http.port}"

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def client(self, token="admin-token", **options):
        options = {"timeouts": (60.0, 60.0), "retrying": Retrying(patience=60.0, first_wait=0.02), **options}
        return KubernetesApi(Endpoint(self.url), lambda: token, **options)

    def fail(self, kind, **options):
        async def add():
            self.faults.add(Fault(self.name, kind, **options))

        self.run(add())

    def heal(self):
        async def clear():
            self.faults.clear()

        self.run(clear())

    def install(self, *manifests):
        admin = self.client()
        for manifest in manifests:
            plural = manifest["kind"].lower() + "s"
            group, _, version = manifest["apiVersion"].rpartition("/")
            from controlplane.gateways.resources import Resource

            namespaced = manifest["kind"] not in (
                "CustomResourceDefinition",
                "ClusterRole",
                "ClusterRoleBinding",
                "Namespace",
            )
            admin.create(Resource(group, version, plural, namespaced=namespaced), manifest)

    def close(self):
        self.run(self.http.stop())
        self.server.close()


@pytest.fixture
def make_server(loop):
    """Give a maker of API servers."""
    made = []

    def make(name="member"):
        made.append(Served(loop, name))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def served(make_server):
    """Give one API server."""
    return make_server()


@pytest.fixture
def config(make_server):
    """Give the API server of a config cluster, with all custom resource definitions."""
    server = make_server("config")
    folder = importlib.resources.files("controlplane.localcloud.loadbalancer")
    files = ("crds.yaml", "crds_gateway.yaml")
    kinds = [kind for file in files for kind in yaml.safe_load_all(folder.joinpath(file).read_text())]
    server.install(*definitions(), *kinds)
    return server


@pytest.fixture
def clock():
    """Give the machine's clock."""
    return SystemClock()
