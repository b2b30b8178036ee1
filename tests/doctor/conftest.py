"""A project on sockets: the Google Cloud endpoints, a config cluster and two members, and a doctor that examines it."""

import asyncio
import importlib.resources
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
import yaml

from controlplane.api.crd import definitions
from controlplane.doctor import clusters
from controlplane.doctor.examine import CHECKS
from controlplane.doctor.finding import State
from controlplane.gateways.kubeapi import Endpoint, KubernetesApi
from controlplane.gateways.resources import Resource
from controlplane.localcloud.apiserver.server import ApiServer
from controlplane.localcloud.clock import SystemClock
from controlplane.localcloud.daemon.pki import ensure_pki
from controlplane.localcloud.faults import Fault, FaultBook
from controlplane.localcloud.gcp import GoogleCloud, HostedCluster, TokenIssuer, new_credentials
from controlplane.localcloud.scenario import load_scenario
from controlplane.localcloud.serving import serve
from controlplane.localcloud.stock.ledger import Stock
from controlplane.model.offering import Accelerator
from controlplane.model.service import Ingress, PodTemplate, ServiceSpec
from controlplane.wiring import Target, doctor_of
from regional_deploy.runner import rights

KEY = new_credentials("gpu-hunter-local", "http://127.0.0.1:1/token")
APIS = ("container", "compute", "gkehub", "serviceusage", "cloudresourcemanager", "cloudquotas", "iam")
SECONDS = 60.0  # never waited for: what is to take too long is given less


SERVICE = ServiceSpec(
    name="web",
    namespace="default",
    uid="u",
    generation=1,
    replicas=1,
    accelerators=(Accelerator("nvidia-l4"),),
    pod=PodTemplate(image="i:1", port=80),
)


@cache
def default_scenario():
    """Give the scenario, read once."""
    return load_scenario(None)


@cache
def kinds(file):
    """Give the kinds that are written in a file of the local cloud's, read once."""
    folder = importlib.resources.files("controlplane.localcloud.loadbalancer")
    return tuple(
        yaml.load_all(folder.joinpath(f"{file}.yaml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    )


@cache
def own_kinds():
    """Give the kinds that GPU Hunter defines, made once."""
    return definitions()


class Findings(list):
    """What an examination found."""

    def amiss(self, check):
        """Give what is amiss of one check."""
        assert {finding.check for finding in self} <= set(CHECKS)
        return [finding for finding in self if finding.check == check and finding.state is not State.OK]

    def the(self, check, state):
        """Give the only thing that is amiss of a check, and make sure of its state."""
        (found,) = self.amiss(check)
        assert found.state is state, found
        return found


class Host:
    def __init__(self, clusters):
        self.clusters = clusters

    def list(self):
        return list(self.clusters)


class Balancer:
    def health(self):
        return {}

    def leaked_groups(self):
        return []

    def forwarding_rules(self):
        return []


class Recorder:
    """Writes down what a server is asked, and which servers were asked what comes last: what their caller may do."""

    def __init__(self, app, name, into, examined):
        self.app, self.name, self.into, self.examined = app, name, into, examined

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.into.append((scope["method"], scope["path"]))
            if scope["path"].endswith("/selfsubjectaccessreviews"):
                self.examined.add(self.name)
        await self.app(scope, receive, send)


class Project:
    """All servers, and what a test does to them."""

    def __init__(self, loop, pki):
        self.loop, self.pki, self.clock, self.faults = loop, pki, SystemClock(), FaultBook()
        self.tokens, self.asked, self.servers, self.serving = TokenIssuer(SystemClock(), KEY), [], {}, []
        self.examined = set()
        scenario = default_scenario()
        self.specs = [scenario.config_cluster, *scenario.clusters[:2]]
        ca = pki.ca_file.read_text()
        hosted = [
            HostedCluster(spec.name, spec.location, f"127.0.0.1:{self._start(spec.name)}", ca) for spec in self.specs
        ]
        self.config, *self.members = hosted
        self.host, self.stock = Host(hosted), Stock(scenario)
        self.google = GoogleCloud(
            scenario, self.stock, self.clock,
            clusters=self.host, backends=Balancer(), faults=self.faults, tokens=self.tokens,
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{self._serve('gcp', self.google.app, None, None)}"
        self.name = scenario.project

    def _start(self, name):
        server = ApiServer(name, clock=self.clock, database=None, authenticate=self._user, faults=self.faults)
        self.servers[name] = server
        return self._serve(name, server.app, self.pki.cert_file, self.pki.key_file)

    def _user(self, token):
        return "admin" if token == "admin-token" else self.tokens.authenticate(token)

    def _serve(self, name, app, cert, key):
        recorder = Recorder(app, name, self.asked, self.examined)
        server = self.run(serve(recorder, "127.0.0.1", 0, cert, key, now=self.clock.now))
        self.serving.append(server)
        return server.port

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SECONDS)

    def close(self):
        async def stop():
            await asyncio.gather(*(server.stop() for server in self.serving))

        self.run(stop())
        for server in self.servers.values():
            server.close()

    def call(self, function):
        async def do():
            return function()

        return self.run(do())

    def fail(self, endpoint, kind, **options):
        self.call(lambda: self.faults.add(Fault(endpoint, kind, **options)))

    def post(self, path, body=None, method="POST"):
        """Change something through a published API."""
        import requests

        headers = {"Authorization": f"Bearer {self.tokens.issue('somebody')}"}
        answer = requests.request(method, self.url + path, json=body or {}, headers=headers, timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def admin(self, cluster):
        endpoint = Endpoint(f"https://{cluster.endpoint}", cluster.ca_pem)
        return KubernetesApi(endpoint, lambda: "admin-token", timeouts=(SECONDS, SECONDS))

    def install(self, cluster, *manifests):
        admin = self.admin(cluster)
        for manifest in manifests:
            group, _, version = manifest["apiVersion"].rpartition("/")
            admin.create(Resource(group, version, manifest["kind"].lower() + "s", namespaced=False), manifest)

    def install_kinds(self, cluster, file):
        """Install the kinds that are written in a file of the local cloud's."""
        self.install(cluster, *kinds(file))

    def restrict(self, *, granted):
        """Give the reconciler's account the rights of `regional_deploy/rbac`, or none."""
        email = KEY["client_email"]
        for cluster in self.host.clusters:
            role = "config-cluster" if cluster is self.config else "member"
            if granted:
                self.install(cluster, *rights(role, email))
            self.call(lambda name=cluster.name: self.servers[name].restrict(email))


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """Give a certificate authority; making one takes a while."""
    return ensure_pki(tmp_path_factory.mktemp("pki"), datetime.now(UTC))


@pytest.fixture
def bare(loop, pki):
    """Give a project whose config cluster has no kinds of its own yet."""
    made = Project(loop, pki)
    yield made
    made.close()


@pytest.fixture
def project(bare):
    """Give a project in which all is well."""
    bare.install(bare.config, *own_kinds())
    bare.install_kinds(bare.config, "crds")
    return bare


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch):
    """Take no answer for slow because other programs run beside the tests."""
    monkeypatch.setattr(clusters, "SLOW", SECONDS)


@pytest.fixture
def reviews_granted(monkeypatch):
    """Have the servers' answers to access reviews at once: they restrict nobody, and each examination asks 130.

    What is asked, and what becomes of a refusal, is for the tests that go without this.
    """
    monkeypatch.setattr(KubernetesApi, "may", lambda *_: True)


@pytest.fixture
def target(bare, tmp_path):
    """Give the project as the reconciler takes it."""
    key = tmp_path / "key.json"
    key.write_text(json.dumps({**KEY, "token_uri": f"{bare.url}/token"}))
    return Target(bare.name, "us-west2/hunt-config", dict.fromkeys(APIS, bare.url), credentials_file=key)


@pytest.fixture
def examine(target):
    """Give a function that examines, and checks what holds for every finding; None: for the stored services.

    opened: is given each cluster's API when it is opened, and gives the one to use.
    """

    def examined(services=(SERVICE,), *, seconds=SECONDS, environ=None, resolve=lambda _host: [], opened=None, **other):
        doctor = doctor_of(replace(target, **other), seconds=seconds)
        if opened is not None:
            connect = doctor.cloud.connect
            cloud = replace(doctor.cloud, connect=lambda endpoint: opened(endpoint, connect(endpoint)))
            doctor = replace(doctor, cloud=cloud)
        findings = replace(doctor, environ=environ or {}, resolve=resolve).examine(services)
        for finding in findings:
            amiss = finding.state is not State.OK
            assert bool(finding.breaks) == bool(finding.mend) == amiss, finding
            text = str(finding.as_dict())
            assert KEY["private_key"][40:80] not in text
            assert "ya29." not in text
        return Findings(findings)

    return examined


@pytest.fixture
def until():
    """Give a function that waits in a thread of its own until something holds, and says whether it came to hold."""

    def wait(condition):
        end = time.monotonic() + SECONDS / 2  # reached only where it never comes to hold
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        return condition()

    return wait


@pytest.fixture
def service():
    """Give the service that is examined for when no other is named."""
    return SERVICE


@pytest.fixture
def with_ingress():
    """Give a maker of that service with an ingress of its own."""
    return lambda **values: replace(SERVICE, ingress=Ingress(**values))


@pytest.fixture
def later(bare, pki, until):
    """Give a function that sets the servers' clocks ahead, and waits until the answers of all of them say so."""

    def ahead(seconds):
        bare.clock.offset = timedelta(seconds=seconds)
        for url in (bare.url, *(f"https://{cluster.endpoint}" for cluster in bare.host.clusters)):
            assert until(lambda url=url: tells(url, bare.clock.now(), pki))

    return ahead


def tells(url, now, pki):
    """Say whether a server tells this time; each looks at its clock once a second."""
    import requests

    said = requests.get(f"{url}/", timeout=SECONDS, verify=str(pki.ca_file)).headers["Date"]
    told = datetime.strptime(said, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    return abs((told - now).total_seconds()) < 3
