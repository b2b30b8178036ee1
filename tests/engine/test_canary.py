"""Credentials that turn up in foreign text come out nowhere: logs, status, Events, plan, report, traces (S9)."""

import io
import json

import pytest
import structlog

from controlplane.cli.hunt import pass_data
from controlplane.engine.logs import configure
from controlplane.engine.report import event, unaccepted_status
from controlplane.gateways.access import GoogleAccess, Project
from controlplane.gateways.translate import of_http

TOKEN = "ya29.c4n4ry-0123456789abcdef"
SECRET = f"authorization=Bearer {TOKEN}"
MARK = "marker-of-the-channel"
"""Stands beside the secret, and must come out: else the test would look where nothing flows."""
NO_GPU = f"GCE out of resources {MARK} {SECRET}"


def stamp(world):
    return world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def on_settle(world, change):
    """Change every member after the clusters have done their part."""
    settle = world.settle

    def settled():
        settle()
        for member in world.members.values():
            change(member)

    world.settle = settled


def cluster_event(world, kind, name, uid, reason, message):
    return {
        "involvedObject": {"kind": kind, "name": name, "namespace": "default", "uid": uid},
        "reason": reason,
        "message": message,
        "lastTimestamp": stamp(world),
        "type": "Warning",
    }


def event_of_a_pod(world, _tmp):
    world.obtainable = set()

    def change(member):
        member.events = [
            cluster_event(world, "Pod", pod["metadata"]["name"], pod["metadata"]["uid"], "FailedScaleUp", NO_GPU)
            for pod in member.pods
        ]

    on_settle(world, change)


def event_of_a_replica_set(world, _tmp):
    world.obtainable = set()
    message = f"admission webhook warden denied the request: {MARK} {SECRET}"

    def change(member):
        member.pods = []
        member.events = [
            cluster_event(world, "ReplicaSet", f"{d['metadata']['name']}-abc", "u", "FailedCreate", message)
            for d in member.deployments()
        ]

    on_settle(world, change)


def condition_of_a_deployment(world, _tmp):
    condition = {"type": "ReplicaFailure", "status": "True", "message": f"{MARK} {SECRET}"}

    def change(member):
        member.pods = []
        for deployment in member.deployments():
            deployment["status"] = {"conditions": [{**condition, "lastUpdateTime": stamp(world)}]}

    on_settle(world, change)


def reason_of_a_container(world, _tmp):
    def change(member):
        for pod in member.pods:
            pod["status"]["conditions"] = pod["status"]["conditions"][:1]
            pod["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": f"{MARK} {SECRET}"}}}]
        world.balanced = {}

    on_settle(world, change)


def body_of_an_error(world, _tmp):
    body = json.dumps({"kind": "Status", "reason": "Forbidden", "message": f"{MARK} {SECRET}"})

    def refused(*_args, **_more):
        raise of_http(403, body, headers={}, write=True)

    for member in world.members.values():
        member.apply = refused


def body_of_a_read(world, _tmp):
    body = json.dumps({"kind": "Status", "message": f"{MARK} {SECRET}"})
    for member in world.members.values():
        member.error = of_http(500, body, headers={}, write=False)


def value_in_a_spec(world, _tmp):
    world.config.stored["web"]["spec"]["accelerators"] = [{"type": f"{MARK} {SECRET}"}]


def remembered_text(world, _tmp):
    world.config.stored["web"]["status"] = {"memory": {"version": f"{MARK} {SECRET}"}}


def trace_of_a_bug(world, _tmp):
    def broken():
        raise ZeroDivisionError(f"{MARK} {SECRET}")

    world.config.services = broken


def credentials_file(world, tmp):
    key = tmp / f"{MARK}.json"
    key.write_text(json.dumps({"type": "service_account", "private_key": TOKEN, "client_email": SECRET}))
    access = GoogleAccess(Project("p", {}, key, None), world.clock)
    world.listing = lambda *_: access.token()


CHANNELS = [
    event_of_a_pod,
    event_of_a_replica_set,
    condition_of_a_deployment,
    reason_of_a_container,
    body_of_an_error,
    body_of_a_read,
    value_in_a_spec,
    remembered_text,
    trace_of_a_bug,
    credentials_file,
]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.__name__)
def test_no_credential_comes_out_of_a_pass(world, tmp_path, channel):
    """The text beside it does, somewhere; the credential does not, anywhere."""
    stream = io.StringIO()
    configure(json_lines=True, level="debug", stream=stream)
    channel(world, tmp_path)
    told = []
    for _ in range(45):
        plan = world.reconciler().run_pass(dry_run=True)
        report = world.run(1)
        told += [json.dumps(pass_data(each), default=str) + repr(each) for each in (plan, report)]
    structlog.reset_defaults()
    places = {
        "logs": stream.getvalue(),
        "status": json.dumps([service.get("status") for service in world.config.stored.values()]),
        "events": json.dumps(world.config.events),
        "reports": "".join(told),
    }
    if channel in (value_in_a_spec, remembered_text):  # what the user or the status itself holds is no leak of ours
        places["status"] = json.dumps(world.config.stored["web"]["status"].get("conditions"))
    assert MARK in "".join(places.values())
    assert [name for name, text in places.items() if TOKEN in text] == []


def test_what_leaves_as_an_event_or_a_status_is_cleaned_once_more(world):
    """Whoever hands text on: the last step before the API server masks credentials too."""
    service, now = world.config.stored["web"], world.clock.now()
    sent = event(service, "SpecRejected", f"{MARK} {SECRET}", now, warning=True)
    status = unaccepted_status(service, f"{MARK} {SECRET}", now)
    for told in (sent, status):
        assert MARK in json.dumps(told)
        assert TOKEN not in json.dumps(told)
