"""The client of one API server, over sockets, with everything that can go wrong in between."""

import socket

import pytest

from controlplane.gateways import errors
from controlplane.gateways.kubeapi import Endpoint, KubernetesApi
from controlplane.gateways.resources import CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, NAMESPACES, SERVICE_ACCOUNTS
from controlplane.gateways.retrying import Retrying


def account(name="web", **metadata):
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "automountServiceAccountToken": False,
    }


def test_apply_get_list_and_delete(served):
    """What is applied can be read, listed by label and deleted under its uid."""
    api = served.client()
    applied = api.apply(account(labels={"app": "web"}))
    assert applied["metadata"]["managedFields"][0]["manager"] == "gpu-hunter"
    assert api.get(SERVICE_ACCOUNTS, "web", namespace="default")["metadata"]["uid"] == applied["metadata"]["uid"]
    assert [i["metadata"]["name"] for i in api.list(SERVICE_ACCOUNTS, labels="app=web")] == ["web"]
    with pytest.raises(errors.Conflict):
        api.delete(SERVICE_ACCOUNTS, "web", namespace="default", uid="another")
    api.delete(SERVICE_ACCOUNTS, "web", namespace="default", uid=applied["metadata"]["uid"])
    api.delete(SERVICE_ACCOUNTS, "web", namespace="default", uid=applied["metadata"]["uid"])
    assert api.get(SERVICE_ACCOUNTS, "web", namespace="default") is None


def test_a_stale_resource_version_is_a_conflict(served):
    """Apply, merge and replace onto a state that is gone change nothing."""
    api = served.client()
    old = api.apply(account())["metadata"]["resourceVersion"]
    api.apply(account(labels={"app": "web"}))
    body = {"metadata": {"resourceVersion": old, "labels": {"app": "x"}}}
    for attempt in (
        lambda: api.apply(account(labels={"app": "x"}), resource_version=old),
        lambda: api.merge(SERVICE_ACCOUNTS, "web", body, namespace="default"),
        lambda: api.replace(SERVICE_ACCOUNTS, account(labels={"app": "x"}, resourceVersion=old)),
    ):
        with pytest.raises(errors.Conflict):
            attempt()
    assert api.get(SERVICE_ACCOUNTS, "web", namespace="default")["metadata"]["labels"] == {"app": "web"}


def test_lists_are_read_to_their_end(served, monkeypatch):
    """A list of several pages is given whole, with the pages read one after another."""
    monkeypatch.setattr("controlplane.gateways.kubeapi.PAGE", 2)
    api = served.client()
    for number in range(5):
        api.apply(account(f"web-{number}", labels={"app": "web"}))
    before = api.counter.total
    assert len(api.list(SERVICE_ACCOUNTS, labels="app=web")) == 5
    assert api.counter.total - before == 3


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("500", {}, errors.ServerFault),
        ("503", {}, errors.ServerFault),
        ("429", {"retry_after": 60}, errors.Throttled),
        ("403", {}, errors.Forbidden),
        ("expired-credential", {}, errors.AuthExpired),
        ("hang", {}, errors.DeadlineExceeded),
        ("cut", {}, errors.Unreachable),
    ],
    ids=str,
)
def test_reads_under_faults(served, kind, options, expected):
    """Every fault has its class for a read, within the patience of the caller."""
    served.fail(kind, **options)
    timeouts = (60.0, 0.5 if kind == "hang" else 60.0)
    with pytest.raises(expected):
        served.client(retrying=Retrying(attempts=2, first_wait=0.02), timeouts=timeouts).list(DEPLOYMENTS)


@pytest.mark.parametrize("kind", ["500", "503", "429", "cut"])
def test_a_read_is_tried_again(served, kind):
    """A fault that is over at the second try is not noticed."""
    served.fail(kind, times=1)
    assert served.client().list(DEPLOYMENTS) == []


def test_a_wait_that_is_too_long_is_not_waited(served):
    """A server that asks for a minute is not asked again within the pass."""
    served.fail("429", retry_after=60)
    api = served.client()
    with pytest.raises(errors.Throttled) as caught:
        api.list(DEPLOYMENTS)
    assert caught.value.retry_after == 60
    assert api.counter.total == 1


@pytest.mark.parametrize(
    ("kind", "happened"), [("lost-answer", True), ("hang", False), ("cut", False), ("500", False)], ids=str
)
def test_a_write_without_answer_is_ambiguous_and_not_repeated(served, kind, happened):
    """Whether it happened or not, the write is sent once and said to be in doubt."""
    served.fail(kind, methods=("PATCH",))
    api = served.client(timeouts=(60.0, 0.5 if kind == "hang" else 60.0))
    with pytest.raises(errors.Ambiguous):
        api.apply(account())
    assert api.counter.total == 1
    served.heal()
    assert (served.client().get(SERVICE_ACCOUNTS, "web", namespace="default") is not None) is happened


def test_nobody_listens():
    """A closed port is Unreachable for reads and writes alike: nothing was sent."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    api = KubernetesApi(Endpoint(url), lambda: "t", retrying=Retrying(attempts=1), timeouts=(60.0, 60.0))
    with pytest.raises(errors.Unreachable):
        api.list(DEPLOYMENTS)
    with pytest.raises(errors.Unreachable):
        api.apply(account())


def test_a_token_that_cannot_be_had_is_no_ambiguous_write(served):
    """Without a token nothing is sent, so a write that fails for it did not happen."""

    def token():
        raise errors.AuthExpired("revoked")

    api = KubernetesApi(Endpoint(served.url), token)
    with pytest.raises(errors.AuthExpired):
        api.apply(account())


def test_an_invalid_object_names_its_field(served):
    """The field of a refused object is kept."""
    with pytest.raises(errors.Invalid) as caught:
        served.client().create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "Not Valid"}})
    assert "name" in caught.value.field


def test_a_missing_kind_is_gone(served):
    """A kind that is not installed is Gone, and the list is not taken for empty."""
    from controlplane.gateways.resources import GPU_SERVICES

    with pytest.raises(errors.Gone):
        served.client().list(GPU_SERVICES)
    assert served.client().get(CUSTOM_RESOURCE_DEFINITIONS, "gpuservices.gpuhunter.dev") is None


@pytest.mark.parametrize("call", [lambda api: api.list(DEPLOYMENTS), lambda api: api.apply(account())])
def test_a_token_that_ended_before_its_time_is_renewed(served, call):
    """A server that does not let us in is asked once more with a new token, for reads and writes alike."""
    tokens, refused = ["admin-token", "revoked"], []

    def renew(token):
        refused.append(tokens.pop())
        return True

    api = KubernetesApi(Endpoint(served.url), lambda: tokens[-1], refused=renew)
    call(api)
    assert refused == ["revoked"]
    assert api.counter.total == 2


def test_a_token_that_cannot_be_renewed_is_not_tried_again(served):
    """Without another token there is no second request."""
    api = KubernetesApi(Endpoint(served.url), lambda: "revoked", refused=lambda _: False)
    with pytest.raises(errors.AuthExpired):
        api.apply(account())
    assert api.counter.total == 1


def closed_port():
    """Give a URL at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def behind(url, served, **options):
    chain = Endpoint(closed_port(), kind="dns", fallback=Endpoint(url, kind="ip"))
    options = {"timeouts": (60.0, 60.0), "retrying": Retrying(attempts=1), **options}
    return KubernetesApi(chain, lambda: "admin-token", **options)


def test_an_endpoint_that_takes_no_connection_gives_way_to_the_next(served):
    """Reads and writes go through by the one behind it, and stay there."""
    api = behind(served.url, served)
    assert api.apply(account())["metadata"]["name"] == "web"
    assert api.get(SERVICE_ACCOUNTS, "web", namespace="default") is not None
    assert api.ping().version


def test_an_endpoint_that_ends_no_handshake_gives_way_to_the_next(served):
    """It takes the connection and says no more: nothing was sent, so even a write goes through by the one behind it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        once, timeouts = Retrying(attempts=1), (0.5, 60.0)
        alone = KubernetesApi(Endpoint(url), lambda: "admin-token", retrying=once, timeouts=timeouts)
        with pytest.raises(errors.Unreachable, match="no TLS connection"):
            alone.apply(account())
        chain = Endpoint(url, fallback=Endpoint(served.url))
        api = KubernetesApi(chain, lambda: "admin-token", retrying=once, timeouts=timeouts)
        assert api.apply(account())["metadata"]["name"] == "web"


def test_without_a_second_endpoint_the_first_is_unreachable():
    """Only who has a choice turns to another one; when none answers, the first is tried again later."""
    dead = KubernetesApi(Endpoint(closed_port()), lambda: "t", retrying=Retrying(attempts=1), timeouts=(60.0, 60.0))
    with pytest.raises(errors.Unreachable):
        dead.list(SERVICE_ACCOUNTS)
    both = behind(closed_port(), None)
    with pytest.raises(errors.Unreachable):
        both.list(SERVICE_ACCOUNTS)


def test_a_server_that_answers_is_never_left_for_another(served):
    """Its errors are its own: what it refuses is not asked of another door."""
    served.fail("403")
    chain = Endpoint(served.url, fallback=Endpoint(closed_port()))
    api = KubernetesApi(chain, lambda: "admin-token", retrying=Retrying(attempts=1), timeouts=(60.0, 60.0))
    with pytest.raises(errors.Forbidden):
        api.list(SERVICE_ACCOUNTS)
    served.heal()
    assert api.list(SERVICE_ACCOUNTS) is not None


@pytest.mark.parametrize(
    ("body", "gone"),
    [
        pytest.param('{"error": {"code": 404, "message": "membership not found"}}', False, id="the-gateways"),
        pytest.param("<!DOCTYPE html><title>Error 404</title>", False, id="a-front-ends"),
        pytest.param("404 page not found\n", True, id="of-a-kind-that-is-not-served"),
        pytest.param('{"kind": "Status", "code": 404, "reason": "NotFound"}', True, id="of-an-object"),
    ],
)
def test_not_found_counts_only_when_the_api_server_says_it(body, gone):
    """A gateway that does not know the way says nothing about what stands in the cluster."""
    from types import SimpleNamespace

    from controlplane.gateways.kubeapi import _parse

    answer = SimpleNamespace(status=404, data=body.encode(), headers={}, reason="Not Found")
    with pytest.raises(errors.Gone if gone else errors.Unreachable):
        _parse(answer, write=False)


def test_what_is_told_is_why_the_first_endpoint_failed(served):
    """That the one behind it may not be used is beside the point."""
    served.fail("403")
    with pytest.raises(errors.Unreachable):
        behind(served.url, served).list(SERVICE_ACCOUNTS)
