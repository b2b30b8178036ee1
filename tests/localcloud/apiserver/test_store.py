"""The store: history, snapshots, and what survives."""

import asyncio
import subprocess
import sys
import textwrap

import pytest

from controlplane.localcloud.apiserver import store as store_module
from controlplane.localcloud.apiserver.api import ApiError


def config(name, **data):
    return {"metadata": {"name": name}, "data": data}


def test_snapshot_of_the_past(server, api):
    """The state at an old resourceVersion is what it was, after changes, creations and deletions."""
    api.create("configmaps", config("a", x="1"), "default")
    api.create("configmaps", config("b"), "default")
    then = server.core.store.rv
    api.patch("configmaps", "a", {"data": {"x": "2"}}, "default")
    api.delete("configmaps", "b", "default")
    api.create("configmaps", config("c"), "default")
    state = server.core.store.shelf("configmaps").at(then)
    assert {name: record.object.get("data", {}) for (_, name), record in state.items()} == {"a": {"x": "1"}, "b": {}}


def test_old_versions_are_packed_and_come_back(server, api):
    """Versions far back in the history are kept small and can still be read."""
    api.create("configmaps", config("a", n="0"), "default")
    first = server.core.store.rv
    for number in range(1, store_module.UNPACKED + 20):
        api.patch("configmaps", "a", {"data": {"n": str(number)}}, "default")
    shelf = server.core.store.shelf("configmaps")
    assert shelf.events[0].record._object is None
    assert shelf.at(first)["default", "a"].object["data"] == {"n": "0"}


def test_history_ends(server, api, monkeypatch):
    """A version before the kept history is 410."""
    monkeypatch.setattr(store_module, "HISTORY", 5)
    api.create("configmaps", config("a"), "default")
    first = server.core.store.rv
    for number in range(7):
        api.patch("configmaps", "a", {"data": {"n": str(number)}}, "default")
    with pytest.raises(ApiError) as failure:
        server.core.store.shelf("configmaps").since(first)
    assert (failure.value.code, failure.value.reason) == (410, "Expired")


def test_history_is_long_enough():
    """At least 5,000 events of a resource are kept."""
    assert store_module.HISTORY >= 5_000


def test_state_survives_a_restart(make, tmp_path):
    """Objects, versions and the counter come back; older versions are gone."""
    first = make(tmp_path / "state.db")
    first.api.create("configmaps", config("a", x="1"), "default")
    first.api.create("configmaps", config("b"), "default")
    first.api.delete("configmaps", "b", "default")
    before = first.api.get("configmaps", "a", "default")
    counter = first.core.store.rv
    first.close()
    second = make(tmp_path / "state.db")
    assert second.api.get("configmaps", "a", "default") == before
    assert second.api.find("configmaps", "b", "default") is None
    assert second.core.store.rv == counter
    with pytest.raises(ApiError):
        second.core.store.shelf("configmaps").since(counter - 1)


def test_custom_resources_survive_a_restart(make, tmp_path):
    """A definition is served again after a restart."""
    first = make(tmp_path / "state.db")
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}],
    }  # fmt: skip
    crd = {"metadata": {"name": "things.example.com"}, "spec": spec}
    first.api.create("customresourcedefinitions.apiextensions.k8s.io", crd)
    first.api.create("things.example.com", {"metadata": {"name": "t"}, "spec": {"a": 1}}, "default")
    first.close()
    second = make(tmp_path / "state.db")
    assert second.api.get("things.example.com", "t", "default")["spec"] == {"a": 1}


def test_acknowledged_writes_survive_sigkill(tmp_path):
    """What was committed is there after the process was killed with SIGKILL."""
    program = textwrap.dedent(
        """
        import asyncio, os, pathlib, signal, sys
        from controlplane.localcloud.apiserver.server import ApiServer
        from controlplane.localcloud.clock import SystemClock
        from controlplane.localcloud.faults import FaultBook

        async def main():
            server = ApiServer("one", clock=SystemClock(), database=pathlib.Path(sys.argv[1]),
                               authenticate=lambda token: token, faults=FaultBook())
            if len(sys.argv) > 2:
                print(len(server.api.list("configmaps", "default")))
                return
            for number in range(50):
                body = {"metadata": {"name": f"c{number}"}}
                server.api.create("configmaps", body, "default")
            await server.core.journal.committed()
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
        """
    )
    command = [sys.executable, "-c", program, str(tmp_path / "state.db")]
    assert subprocess.run(command, check=False).returncode == -9
    assert subprocess.run([*command, "read"], check=True, capture_output=True, text=True).stdout.strip() == "50"


def test_a_full_disk_is_told(make, tmp_path):
    """A write that cannot be kept is an error to who waits for it, and is tried again with the next one."""

    async def main():
        server = make(tmp_path / "state.db")
        journal = server.core.journal
        journal._connection.execute("PRAGMA query_only=ON")
        server.api.create("configmaps", config("a"), "default")
        with pytest.raises(ApiError) as failure:
            await journal.committed()
        assert failure.value.code == 500
        journal._connection.execute("PRAGMA query_only=OFF")
        server.api.create("configmaps", config("b"), "default")
        await journal.committed()
        server.close()

    asyncio.run(main())
    assert [one["metadata"]["name"] for one in make(tmp_path / "state.db").api.list("configmaps", "default")] == [
        "a",
        "b",
    ]


def test_writes_of_one_turn_share_a_transaction(make, tmp_path):
    """Everything written before the loop turns is committed together, and waiting for it works."""

    async def main():
        server = make(tmp_path / "state.db")
        for number in range(10):
            server.api.create("configmaps", config(f"c{number}"), "default")
        assert len(server.core.journal._pending) == 10
        await server.core.journal.committed()
        assert not server.core.journal._pending
        server.close()

    asyncio.run(main())


def test_history_of_large_objects_is_shorter(server, api, monkeypatch):
    """The history is bounded in bytes too, so that a few large objects cannot fill the memory."""
    monkeypatch.setattr(store_module, "HISTORY_BYTES", 50_000)
    api.create("configmaps", config("a"), "default")
    first = server.core.store.rv
    for number in range(30):
        api.patch("configmaps", "a", {"data": {"n": str(number) * 5_000}}, "default")
    shelf = server.core.store.shelf("configmaps")
    assert len(shelf.events) < 11
    with pytest.raises(ApiError) as failure:
        shelf.since(first)
    assert failure.value.code == 410


def test_account_tokens_survive_a_restart_but_not_their_account(make, tmp_path):
    """A ServiceAccount's token is good after a restart, until the account is another one."""
    first = make(tmp_path / "state.db")
    token = first.api.create("serviceaccounts/token", {"metadata": {"name": "default"}, "spec": {}}, "default")
    text = token["status"]["token"]
    first.close()
    second = make(tmp_path / "state.db")
    assert second.core.accounts.user(text) == "system:serviceaccount:default:default"
    second.api.delete("serviceaccounts", "default", "default")
    assert second.core.accounts.user(text) is None
    second.api.create("serviceaccounts", {"metadata": {"name": "default"}}, "default")
    assert second.core.accounts.user(text) is None


def test_the_server_says_where_it_is(server, api):
    """The Service of the API server leads to its address, also after that changed."""
    server.announce("127.0.0.1", 6443)
    server.announce("127.0.0.1", 6444)
    subset = api.get("endpoints", "kubernetes", "default")["subsets"][0]
    assert (subset["addresses"], subset["ports"][0]["port"]) == ([{"ip": "127.0.0.1"}], 6444)
    piece = api.get("endpointslices.discovery.k8s.io", "kubernetes", "default")
    assert (piece["endpoints"][0]["addresses"], piece["ports"][0]["port"]) == (["127.0.0.1"], 6444)
