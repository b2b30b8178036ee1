"""Certificates, state, subnets, kubeconfig and prices: the daemon's parts without the daemon."""

import asyncio
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from controlplane.localcloud import control
from controlplane.localcloud.control.errors import LocalCloudError
from controlplane.localcloud.daemon.credentials import ensure_credentials
from controlplane.localcloud.daemon.kubeconfig import kubeconfig
from controlplane.localcloud.daemon.pki import ensure_pki
from controlplane.localcloud.daemon.prices import price_table
from controlplane.localcloud.daemon.state import CloudState, ClusterState, StateDir, load_state, save_state
from controlplane.localcloud.daemon.subnets import Subnets
from controlplane.localcloud.gcp.hosts import HostedCluster
from controlplane.localcloud.scenario import load_scenario

NOW = datetime.now(UTC)


async def shake_hands(pki, host):
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(pki.cert_file, pki.key_file)
    client_side = ssl.create_default_context(cafile=str(pki.ca_file))
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_side, server_hostname=host)
    writer.close()
    server.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_certificates_stand_up_to_strict_checks(tmp_path, host):
    """A client that checks strictly, as Python 3.13 does by default, accepts the serving certificate."""
    asyncio.run(shake_hands(ensure_pki(tmp_path, NOW), host))


def test_certificates_are_kept_until_they_are_about_to_expire(tmp_path):
    """The authority stays the same over restarts; the serving certificate is renewed in time under it."""
    pki = ensure_pki(tmp_path, NOW)
    authority, serving = pki.ca_file.read_bytes(), pki.cert_file.read_bytes()
    ensure_pki(tmp_path, NOW + timedelta(days=300))
    assert pki.cert_file.read_bytes() == serving
    ensure_pki(tmp_path, NOW + timedelta(days=380))
    assert pki.cert_file.read_bytes() != serving
    assert pki.ca_file.read_bytes() == authority


def test_keys_can_be_read_by_their_owner_only(tmp_path):
    """Private keys and credentials have mode 0600."""
    pki = ensure_pki(tmp_path / "pki", NOW)
    ensure_credentials(tmp_path / "credentials.json", "p", "https://localhost:1/token")
    for path in (pki.ca_key_file, pki.key_file, tmp_path / "credentials.json"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_credentials_stay_while_their_token_endpoint_moves(tmp_path):
    """A restart on another port changes the token_uri and not the key."""
    path = tmp_path / "credentials.json"
    first = ensure_credentials(path, "p", "https://localhost:1/token")
    second = ensure_credentials(path, "p", "https://localhost:2/token")
    assert second == {**first, "token_uri": "https://localhost:2/token"}


def test_the_state_comes_back_as_it_was_saved(tmp_path):
    """Saving and loading give the same state."""
    state = CloudState(clusters=[ClusterState("a", "us-west2", 1, 2, "t", {"x": "y"})], stock={"totals": []})
    save_state(StateDir(tmp_path), state)
    assert load_state(StateDir(tmp_path)) == state


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "corrupted", id="half-written"),
        pytest.param("[]", "corrupted", id="not-a-mapping"),
        pytest.param('{"format": 999}', "another version", id="newer-version"),
        pytest.param('{"format": 1}', "corrupted", id="no-clusters"),
        pytest.param('{"format": 1, "clusters": [{"nme": 1}]}', "corrupted", id="unknown-field"),
    ],
)
def test_a_state_that_cannot_be_used_says_so_in_one_line(tmp_path, text, says):
    """The line names the file, what is wrong, and the remedy."""
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(LocalCloudError, match=says) as caught:
        load_state(StateDir(tmp_path))
    assert "state.json" in str(caught.value)
    assert "local reset" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_clouds_never_share_a_subnet():
    """What one holds, another does not get; what it gives back can be had again."""
    one, two = Subnets(), Subnets()
    try:
        first = one.claim(211)
        second = two.claim(211)
        assert (first == second) is False
        one.release(first)
        two.release(second)
        assert two.claim(first) == first
    finally:
        one.release_all()
        two.release_all()


def test_a_subnet_is_free_again_when_its_owner_is_gone():
    """The claim is a listening socket, so nothing stale can be left."""
    subnets = Subnets()
    number = subnets.claim(0)
    with socket.socket() as probe:
        assert probe.connect_ex((f"127.{number}.255.254", 47993)) == 0
    subnets.release_all()
    with socket.socket() as probe:
        assert probe.connect_ex((f"127.{number}.255.254", 47993)) != 0


def test_the_kubeconfig_has_a_context_for_each_cluster():
    """Contexts are named after clusters and lead to their endpoints."""
    hosted = [
        HostedCluster("one", "us-west2", "127.0.0.1:1", "PEM"),
        HostedCluster("two", "us-east4", "127.0.0.1:2", "PEM"),
    ]
    config = yaml.safe_load(kubeconfig(hosted, "t0ken", current="one"))
    servers = {entry["name"]: entry["cluster"]["server"] for entry in config["clusters"]}
    assert {c["name"]: servers[c["context"]["cluster"]] for c in config["contexts"]} == {
        "one": "https://127.0.0.1:1",
        "two": "https://127.0.0.1:2",
    }
    assert config["current-context"] == "one"
    assert config["users"][0]["user"]["token"] == "t0ken"


def test_the_price_table_has_every_price_of_the_scenario():
    """The table is YAML by GPU type, region and capacity type."""
    scenario = load_scenario(None)
    table = yaml.safe_load(price_table(scenario))
    assert scenario.prices
    for price in scenario.prices:
        assert table[price.accelerator][price.region][price.capacity] == pytest.approx(price.usd_per_hour)


@pytest.mark.parametrize(
    "act", [control.connection, lambda where: control.call(where, "stock")], ids=["connection", "call"]
)
def test_what_needs_a_running_cloud_says_that_there_is_none(tmp_path, act):
    """The line names the command that starts it."""
    with pytest.raises(LocalCloudError, match="local up"):
        act(tmp_path)


def test_a_cloud_that_does_not_run_has_no_status_and_stops_silently(tmp_path):
    """Status is None, down and reset do nothing."""
    assert control.status(tmp_path) is None
    control.down(tmp_path)
    control.reset(tmp_path)


def test_reset_leaves_what_is_not_the_clouds_own(tmp_path):
    """A file of somebody else in the folder survives."""
    (tmp_path / "precious.txt").write_text("x")
    (tmp_path / "state.json").write_text(json.dumps({"format": 1, "clusters": []}))
    control.reset(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_folder_of_somebody_elses_is_neither_used_nor_wiped(tmp_path):
    """What bears a name of ours in a folder in which no local cloud has lived stays, and is told."""
    (tmp_path / "clusters").mkdir()
    (tmp_path / "clusters" / "mine.txt").write_text("mine")
    with pytest.raises(LocalCloudError, match="--state-dir"):
        control.up(tmp_path)
    control.reset(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["clusters", "mine.txt"]
