"""Clusters that come and go while the local cloud runs: the whole cloud in this process, in virtual time.

The published Google Cloud clients ask it from this thread over its own ports, while it runs in another.
"""

import asyncio
import base64
import json
import socket
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
import yaml
from google.cloud import compute_v1, container_v1, gkehub_v1
from google.oauth2 import service_account

from controlplane.localcloud.clock import VirtualClock
from controlplane.localcloud.daemon.cloud import LocalCloud
from controlplane.localcloud.daemon.commands import AdminCommands
from controlplane.localcloud.daemon.machine import Machine
from controlplane.localcloud.daemon.state import StateDir
from controlplane.localcloud.kubelet.probes import Outcome
from controlplane.localcloud.loadbalancer.objects import INGRESSES, SERVICES
from controlplane.localcloud.scenario import load_scenario
from controlplane.localcloud.scenario.load import SCENARIOS

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sd"}}
INGRESS = {
    "apiVersion": "networking.gke.io/v1",
    "kind": "MultiClusterIngress",
    "metadata": {"name": "web", "namespace": "sd"},
    "spec": {"template": {"spec": {"backend": {"serviceName": "web", "servicePort": 80}}}},
}


class Containers:
    """Starts containers that run until they are stopped."""

    async def start(self, command):
        return Container()


class Container:
    pid = 1

    def __init__(self):
        self._exit = asyncio.get_running_loop().create_future()

    async def wait(self):
        return await asyncio.shield(self._exit)

    def stop(self, grace):
        self.kill()

    def kill(self):
        if not self._exit.done():
            self._exit.set_result(0)


class Proxy:
    """A load balancer's data plane that does nothing."""

    def __init__(self, run_dir):
        self.config_dir, self.access_log = run_dir / "xds", run_dir / "access.log"

    def prepare(self):
        pass

    def write(self, documents):
        return True

    def sweep(self, keep):
        pass

    async def run(self):
        await asyncio.Event().wait()

    async def stop(self):
        pass

    async def rotate_access_log(self):
        pass

    async def admin(self, path, *, method="GET"):
        return json.dumps({"cluster_statuses": []}).encode()


async def healthy(probe, target):
    return Outcome(True, "")


class Living:
    """A local cloud that runs in the loop's thread; a restart gives another one in the same folder."""

    def __init__(self, loop, folder, scenario):
        self._loop, self._folder, self._scenario = loop, folder, scenario
        self._folder.mkdir()
        self.clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.start()

    def start(self):
        machine = Machine(self.clock, Containers(), healthy, Proxy)
        self.cloud = LocalCloud(StateDir(self._folder), self._scenario, progress=lambda _: None, machine=machine)
        self._clients = {}
        self.run(self.cloud.start())
        self.advance(0)

    def stop(self):
        self.run(self.cloud.stop())

    def restart(self):
        self.stop()
        self.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(300)

    def do(self, function, *arguments):
        async def call():
            return function(*arguments)

        return self.run(call())

    def advance(self, seconds):
        self.run(self.clock.advance(seconds))

    def client(self, cls):
        if cls not in self._clients:
            self._clients[cls] = self._new_client(cls)
        return self._clients[cls]

    def _new_client(self, cls):
        key = self.cloud.directory.credentials_file
        credentials = service_account.Credentials.from_service_account_file(key, scopes=SCOPES)
        endpoint = self.cloud.endpoints.apis()["container"]
        made = cls(credentials=credentials, transport="rest", client_options={"api_endpoint": endpoint})
        made.transport._session.verify = str(self.cloud.pki.ca_file)
        made.transport._session.trust_env = False
        # What makes the tokens asks in a session of its own.
        refresher = made.transport._session._auth_request_session
        refresher.verify, refresher.trust_env = str(self.cloud.pki.ca_file), False
        return made

    @property
    def clusters(self):
        return self.client(container_v1.ClusterManagerClient)

    @property
    def hub(self):
        return self.client(gkehub_v1.GkeHubClient)

    @property
    def project(self):
        return self._scenario.project

    def place(self, rest):
        return f"projects/{self.project}/locations/{rest}"

    def begin(self, location, name, *, fleet=True, **values):
        cluster = container_v1.Cluster(name=name, autopilot=container_v1.Autopilot(enabled=True), **values)
        if fleet:
            cluster.fleet = container_v1.Fleet(project=self.project)
        return self.clusters.create_cluster(parent=self.place(location), cluster=cluster)

    def await_end(self, location, operation):
        """Let time pass until an operation is done: starting and stopping a server takes some of the real one, too."""
        name = self.place(f"{location}/operations/{operation.name}")
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if (found := self.clusters.get_operation(name=name)).status.name == "DONE":
                assert not found.error.message
                return
            self.advance(1)
            time.sleep(0.01)
        raise AssertionError(f"{name} does not end")

    def make(self, location, name, **values):
        self.await_end(location, self.begin(location, name, **values))
        return self.clusters.get_cluster(name=self.place(f"{location}/clusters/{name}"))

    def delete(self, location, name):
        self.await_end(location, self.clusters.delete_cluster(name=self.place(f"{location}/clusters/{name}")))

    def enable_ingress(self, member):
        feature = gkehub_v1.Feature(spec={"multiclusteringress": {"config_membership": self.place(member)}})
        self.hub.create_feature(parent=self.place("global"), feature_id="multiclusteringress", resource=feature)
        self.advance(2)

    def wire(self, *links):
        """Have the config cluster's service lead to these clusters."""
        api = self.cloud.clusters.members()[self.cloud.config_cluster()]
        spec = {
            "template": {"spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}},
            "clusters": [{"link": link} for link in links],
        }
        body = {"apiVersion": "networking.gke.io/v1", "kind": "MultiClusterService", "spec": spec}
        body["metadata"] = {"name": "web", "namespace": "sd"}

        def write():
            if api.find("namespaces", "sd") is None:
                api.create("namespaces", NAMESPACE)
                api.create(INGRESSES, INGRESS, "sd")
            if api.find(SERVICES, "web", "sd") is None:
                api.create(SERVICES, body, "sd")
            else:
                api.patch(SERVICES, "web", {"spec": spec}, "sd")

        self.do(write)
        self.advance(4)

    def add_node(self, link, zone):
        """Put a node into a cluster, so that it has network endpoint groups in that zone."""
        labels = {"topology.kubernetes.io/zone": zone}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": labels}}
        self.do(self.cloud.clusters.members()[link].create, "nodes", node)
        self.advance(2)

    def status(self):
        return self.run(AdminCommands(self.cloud, pid=1).status())

    def call(self, url, *, account=None, authority=None):
        """Ask a URL as an account (the owner of the cloud by default), trusting the public authority or another."""
        with self._http(account, authority) as client:
            return client.get(url)

    def first_line(self, url):
        """Give the first line of a stream."""
        with self._http(None, None) as client, client.stream("GET", url) as answer:
            return next(answer.iter_lines())

    def _http(self, account, authority):
        token = self.cloud.tokens.issue(account or self.cloud.tokens.service_account)
        verify = str(self.cloud.pki.ca_file) if authority is None else ssl.create_default_context(cadata=authority)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(verify=verify, trust_env=False, headers=headers, timeout=60)

    def groups(self):
        listed = self.client(compute_v1.NetworkEndpointGroupsClient).aggregated_list(project=self.project)
        return [(scope, group.name) for scope, found in listed for group in found.network_endpoint_groups]


@pytest.fixture
def living(loop, tmp_path):
    read = load_scenario(SCENARIOS / "empty-project.yaml")
    scenario = replace(read, apis=None, load_balancer=replace(read.load_balancer, port=0))  # others may have that port
    made = Living(loop, tmp_path / "cloud", scenario)
    yield made
    made.stop()


def contexts(living):
    document = yaml.safe_load(living.cloud.directory.kubeconfig_file.read_text())
    return [each["name"] for each in document["contexts"]]


def test_a_created_cluster_is_there_like_any_other(living):
    """It is in the status while it comes, then runs; it is in the kubeconfig, in the fleet, and has an API server."""
    operation = living.begin("us-east4", "gpu-us-east4", resource_labels={"gpu-hunter": "on-demand"})
    assert [(each["name"], each["status"]) for each in living.status()["clusters"]] == [
        ("gpu-us-east4", "PROVISIONING")
    ]
    living.await_end("us-east4", operation)
    (only,) = living.status()["clusters"]
    assert (only["status"], only["role"]) == ("RUNNING", "member")
    assert contexts(living) == ["gpu-us-east4"]
    api = living.cloud.clusters.members()["us-east4/gpu-us-east4"]
    assert living.do(api.find, "namespaces", "kube-system") is not None
    names = [each.name for each in living.hub.list_memberships(parent=living.place("-"))]
    assert names == [living.place("us-east4/memberships/gpu-us-east4")]


def test_a_created_cluster_takes_gpus_from_its_regions_stock(living):
    """A GPU Pod in it gets a node in one of the region's zones, and the stock shows the GPU in use."""
    living.make("us-east4", "gpu-us-east4")
    api = living.cloud.clusters.members()["us-east4/gpu-us-east4"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {
            "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-l4"},
            "containers": [
                {"name": "c", "image": "gpu-hunter/demo-app:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
            ],
        },
    }
    living.do(api.create, "pods", pod, "default")
    living.advance(10)
    used = [pool for pool in living.cloud.stock.pools() if pool.in_use]
    assert [(pool.pool.region, pool.pool.accelerator, pool.in_use) for pool in used] == [("us-east4", "nvidia-l4", 1)]
    living.delete("us-east4", "gpu-us-east4")
    assert not [pool for pool in living.cloud.stock.pools() if pool.in_use]


def test_a_deleted_cluster_leaves_no_port_and_no_file(living):
    """Its API server's port is free, its database and its Pods' folders are gone, and nobody lists it."""
    living.make("us-east4", "gpu-us-east4")
    port = living.cloud.clusters.running["us-east4/gpu-us-east4"].state.port
    living.delete("us-east4", "gpu-us-east4")
    assert living.status()["clusters"] == []
    assert contexts(living) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    left = [path.name for path in living.cloud.directory.folder.rglob("*us-east4*")]
    assert left == []


def test_clusters_come_back_after_a_restart(living):
    """With their objects and their labels; those that are gone stay away, and a project may have none at all."""
    living.restart()
    assert living.status()["clusters"] == []
    living.make("us-east4", "gpu-us-east4", resource_labels={"team": "art"})
    living.make("us-central1", "gone")
    living.delete("us-central1", "gone")
    living.do(living.cloud.clusters.members()["us-east4/gpu-us-east4"].create, "namespaces", NAMESPACE)
    living.restart()
    assert [each["name"] for each in living.status()["clusters"]] == ["gpu-us-east4"]
    assert living.do(living.cloud.clusters.members()["us-east4/gpu-us-east4"].find, "namespaces", "sd") is not None
    found = living.clusters.get_cluster(name=living.place("us-east4/clusters/gpu-us-east4"))
    assert dict(found.resource_labels) == {"team": "art"}
    assert found.fleet.membership


def test_what_was_promised_is_on_disk(living):
    """A daemon that is killed right after its answer knows the cluster that it was making, and the feature."""
    living.begin("us-east4", "gpu-us-east4", resource_labels={"team": "art"})
    written = json.loads(living.cloud.directory.state_file.read_text())["google"]["container"]
    assert [(each["link"], each["labels"]) for each in written["births"]] == [
        ("us-east4/gpu-us-east4", {"team": "art"})
    ]
    living.hub.create_feature(parent=living.place("global"), feature_id="multiclusterservicediscovery", resource={})
    written = json.loads(living.cloud.directory.state_file.read_text())["google"]["hub"]
    assert list(written["features"]) == ["multiclusterservicediscovery"]


def test_what_was_under_way_ends_after_a_restart(living):
    """A cluster that was being made is made, one that was being deleted is deleted, under the same operations."""
    living.make("us-east4", "leaving")
    coming = living.begin("us-central1", "coming")
    going = living.clusters.delete_cluster(name=living.place("us-east4/clusters/leaving"))
    living.restart()
    living.await_end("us-central1", coming)
    living.await_end("us-east4", going)
    assert [(each["name"], each["status"]) for each in living.status()["clusters"]] == [("coming", "RUNNING")]


def test_the_ingress_works_once_the_feature_names_the_config_membership(living):
    """Before that the config cluster knows no MultiClusterIngress; what it is told then outlives a restart."""
    living.make("us-west2", "hunt-config")
    living.make("us-east4", "gpu-us-east4")
    living.advance(2)
    crd = "multiclusteringresses.networking.gke.io"
    kinds = "customresourcedefinitions.apiextensions.k8s.io"
    config = living.cloud.clusters.members()["us-west2/hunt-config"]
    assert living.do(config.find, kinds, crd) is None
    living.enable_ingress("us-west2/memberships/hunt-config")
    assert living.do(config.find, kinds, crd) is not None
    assert {each["name"]: each["role"] for each in living.status()["clusters"]}["hunt-config"] == "config"
    living.wire("us-east4/gpu-us-east4")
    assert living.cloud.addresses()
    living.restart()
    living.advance(2)
    assert living.cloud.addresses()


def test_without_the_feature_what_is_programmed_stays_and_nothing_new_counts(living):
    """Disabling it neither takes the address away nor lets edits take effect; enabled again, they do."""
    living.make("us-west2", "hunt-config")
    living.make("us-east4", "gpu-us-east4")
    living.enable_ingress("us-west2/memberships/hunt-config")
    living.wire("us-east4/gpu-us-east4")
    api = living.cloud.clusters.members()["us-west2/hunt-config"]
    living.hub.delete_feature(name=living.place("global/features/multiclusteringress"))
    living.do(api.delete, INGRESSES, "web", "sd")
    living.advance(5)
    assert living.cloud.addresses()
    living.enable_ingress("us-west2/memberships/hunt-config")
    living.advance(5)
    assert not living.cloud.addresses()


def test_a_config_cluster_that_is_deleted_leaves_the_load_balancer_as_it_was(living):
    """The address stays, and the feature says what is wrong; a cluster of the same name takes over with its objects."""
    living.make("us-west2", "hunt-config")
    living.make("us-east4", "gpu-us-east4")
    living.enable_ingress("us-west2/memberships/hunt-config")
    living.wire("us-east4/gpu-us-east4")
    living.delete("us-west2", "hunt-config")
    living.advance(5)
    assert living.cloud.addresses()
    feature = living.hub.get_feature(name=living.place("global/features/multiclusteringress"))
    assert feature.state.state.code.name == "ERROR"
    living.make("us-west2", "hunt-config")
    living.advance(5)
    assert not living.cloud.addresses()


def test_a_cluster_that_is_deleted_while_wired_leaks_its_groups(living):
    """Compute and the status list them, also after an unwiring and a restart, until somebody deletes them."""
    living.make("us-west2", "hunt-config")
    living.make("us-east4", "gpu-us-east4")
    living.enable_ingress("us-west2/memberships/hunt-config")
    living.add_node("us-east4/gpu-us-east4", "us-east4-a")
    living.wire("us-east4/gpu-us-east4")
    ((scope, name),) = living.groups()
    living.delete("us-east4", "gpu-us-east4")
    living.advance(2)
    told = [{"name": name, "zone": "us-east4-a", "cluster": "us-east4/gpu-us-east4"}]
    assert living.status()["leaked_groups"] == told
    groups = living.client(compute_v1.NetworkEndpointGroupsClient)
    with pytest.raises(Exception, match="is already being used by"):
        groups.delete_unary(project=living.project, zone="us-east4-a", network_endpoint_group=name)
    living.wire()
    living.restart()
    assert living.groups() == [(scope, name)]
    assert living.status()["leaked_groups"] == told
    groups = living.client(compute_v1.NetworkEndpointGroupsClient)
    groups.delete_unary(project=living.project, zone="us-east4-a", network_endpoint_group=name)
    assert living.groups() == []


def test_a_cluster_that_is_unwired_first_leaks_nothing(living):
    """Out of the service, out of the load balancer, then out of the fleet and deleted: nothing is left."""
    living.make("us-west2", "hunt-config")
    living.make("us-east4", "gpu-us-east4")
    living.enable_ingress("us-west2/memberships/hunt-config")
    living.add_node("us-east4/gpu-us-east4", "us-east4-a")
    living.wire("us-east4/gpu-us-east4")
    assert living.groups()
    living.wire("us-west2/hunt-config")
    living.hub.delete_membership(name=living.place("us-east4/memberships/gpu-us-east4"))
    living.delete("us-east4", "gpu-us-east4")
    assert living.status()["leaked_groups"] == []
    assert not [group for group in living.groups() if "us-east4" in group[0]]


def test_a_cluster_outside_the_fleet_is_not_led_to(living):
    """A service that names it has no groups there, until it is registered."""
    living.make("us-west2", "hunt-config")
    living.make("us-east4", "gpu-us-east4", fleet=False)
    living.enable_ingress("us-west2/memberships/hunt-config")
    living.add_node("us-east4/gpu-us-east4", "us-east4-a")
    living.wire("us-east4/gpu-us-east4")
    assert living.groups() == []
    link = f"//container.googleapis.com/{living.place('us-east4/clusters/gpu-us-east4')}"
    member = gkehub_v1.Membership(endpoint={"gke_cluster": {"resource_link": link}})
    living.hub.create_membership(parent=living.place("global"), membership_id="old-style", resource=member)
    living.advance(3)
    assert living.groups()


def open_to_outside():
    config = container_v1.ControlPlaneEndpointsConfig
    return config(dns_endpoint_config=config.DNSEndpointConfig(allow_external_traffic=True))


def test_the_dns_endpoint_has_a_public_certificate_and_the_ip_endpoint_the_clusters_own(living):
    """Each is trusted with its own authority and with that one only."""
    made = living.make("us-east4", "gpu-us-east4", control_plane_endpoints_config=open_to_outside())
    by_name = f"https://{made.control_plane_endpoints_config.dns_endpoint_config.endpoint}/version"
    by_address = f"https://{made.endpoint}/version"
    own = base64.b64decode(made.master_auth.cluster_ca_certificate).decode()
    assert living.call(by_name).status_code == 200
    assert living.call(by_address, authority=own).status_code == 200
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        living.call(by_name, authority=own)
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        living.call(by_address)


def test_the_dns_endpoint_lets_in_whom_iam_and_the_cluster_allow(living):
    """Nobody from outside unless that is allowed; then only accounts that may connect. The IP endpoint asks no IAM."""
    made = living.make("us-east4", "gpu-us-east4")
    dns = f"https://{made.control_plane_endpoints_config.dns_endpoint_config.endpoint}/version"
    answer = living.call(dns)
    assert (answer.status_code, answer.json()["kind"]) == (403, "Status")
    update = container_v1.ClusterUpdate(desired_control_plane_endpoints_config=open_to_outside())
    living.clusters.update_cluster(name=living.place("us-east4/clusters/gpu-us-east4"), update=update)
    assert living.call(dns).status_code == 200
    stranger = f"nobody@{living.project}.iam.gserviceaccount.com"
    refused = living.call(dns, account=stranger)
    assert (refused.status_code, "container.clusters.connect" in refused.text) == (403, True)
    own = base64.b64decode(made.master_auth.cluster_ca_certificate).decode()
    assert living.call(f"https://{made.endpoint}/version", account=stranger, authority=own).status_code == 200


def test_the_connect_gateway_leads_to_a_members_api_server(living):
    """By its membership, watches too; want of a permission, no member and no region are Google's errors."""
    living.make("us-east4", "gpu-us-east4")
    living.make("us-central1", "outside", fleet=False)
    base = f"{living.cloud.endpoints.apis()['connectgateway']}/v1/projects/100000000003/locations"
    gateway = f"{base}/us-east4/gkeMemberships/gpu-us-east4"
    assert "default" in living.call(f"{gateway}/api/v1/namespaces").text
    assert json.loads(living.first_line(f"{gateway}/api/v1/namespaces?watch=1"))["type"] == "ADDED"
    stranger = f"nobody@{living.project}.iam.gserviceaccount.com"
    refused = living.call(f"{gateway}/version", account=stranger).json()["error"]
    assert (refused["code"], "gkehub.gateway.get" in refused["message"]) == (403, True)
    assert living.call(f"{base}/us-central1/gkeMemberships/outside/version").status_code == 404
    living.run(living.cloud.region_down("us-east4"))
    assert living.call(f"{gateway}/version").status_code == 503
