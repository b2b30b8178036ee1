"""One action at a time: the fence, what was refused for good, the rights in a new cluster, what is cleared."""

import pytest

from controlplane.engine.growth.act import Hands
from controlplane.engine.growth.ports import Grounds
from controlplane.engine.lease import FenceLost
from controlplane.gateways import errors
from controlplane.model.growthplan import (
    ClearCluster,
    CreateCluster,
    DeleteCluster,
    PrepareCluster,
    RegisterCluster,
    UnregisterCluster,
)
from controlplane.model.offering import ClusterRef
from controlplane.model.service import PodTemplate, ServiceSpec
from ingress import WIRINGS
from regional_deploy.runner import growth_permissions

REF = ClusterRef("us-east4", "gpu")
ACCOUNT = "gpu-hunter@p.iam.gserviceaccount.com"
SPEC = ServiceSpec("web", "default", "u", 1, 1, (), PodTemplate("i:1", 80))
ACTIONS = [
    CreateCluster(REF, {"gpu-hunter": "on-demand"}, ""),
    RegisterCluster(REF, ""),
    PrepareCluster(REF, ""),
    ClearCluster(REF, ""),
    UnregisterCluster(REF, "m", ""),
    DeleteCluster(REF, "u", {"gpu-hunter": "on-demand"}, ""),
]


class Outside:
    """Everything that is written to; `error` is what it says instead."""

    def __init__(self):
        self.error, self.calls, self.objects = None, [], {}

    def _call(self, *call):
        if self.error is not None:
            raise self.error
        self.calls.append(call)
        return "operation-1"

    def create_cluster(self, new):
        return self._call("create", new.ref, new.labels)

    def delete_cluster(self, ref, *, uid, labels):
        return self._call("delete", ref, uid, labels)

    def create(self, ref):
        return self._call("register", ref)

    def delete(self, name, ref):
        return self._call("unregister", name, ref)

    def get(self, manifest):
        if manifest["kind"] == "Namespace":
            return {"metadata": {"uid": "k1"}}
        return self.objects.get(manifest["kind"])

    def apply(self, manifest):
        self._call("apply", manifest["kind"])
        self.objects[manifest["kind"]] = manifest

    def delete_owned(self, manifest):
        self._call("clear", manifest["kind"], manifest["metadata"]["name"])


class Fence:
    def __init__(self):
        self.refusal, self.checks = "", []

    def check(self, *, destructive=False):
        if self.refusal:
            raise FenceLost(self.refusal)
        self.checks.append(destructive)


@pytest.fixture
def outside():
    return Outside()


@pytest.fixture
def fence():
    return Fence()


@pytest.fixture
def hands(outside, fence):
    """Give what carries actions out."""

    def made(*, account=ACCOUNT, member=outside):
        grounds = Grounds(outside, outside, outside, lambda: account)
        return Hands(grounds, fence, WIRINGS, lambda _ref: member, [SPEC])

    return made


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: type(a).__name__)
def test_nothing_is_done_without_the_fence(hands, outside, fence, action):
    """Whoever lost the lease writes nothing, and it is told."""
    fence.refusal = "another run took the lease"
    ((_, brought),) = hands().run([action])
    assert (brought.done, brought.message, outside.calls) == (False, fence.refusal, [])


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: type(a).__name__)
def test_what_takes_away_asks_for_the_lease_again(hands, fence, action):
    """A write that cannot be taken back is checked as such."""
    hands().run([action])
    assert fence.checks[0] is isinstance(action, ClearCluster | UnregisterCluster | DeleteCluster)


@pytest.mark.parametrize(
    ("error", "refused", "taken"),
    [
        pytest.param(errors.QuotaExceeded("no"), True, False, id="quota"),
        pytest.param(errors.Forbidden("no"), True, False, id="forbidden"),
        pytest.param(errors.AlreadyExists("no"), True, True, id="name-taken"),
        pytest.param(errors.Ambiguous("no"), False, False, id="in-doubt"),
        pytest.param(errors.Throttled("no"), False, False, id="too-many-requests"),
    ],
)
def test_what_is_refused_for_good_is_told_apart(hands, outside, error, refused, taken):
    """The others are tried again by the next pass."""
    outside.error = error
    ((_, brought),) = hands().run(ACTIONS[:1])
    assert (brought.done, brought.refused, brought.taken) == (False, refused, taken)
    assert brought.message.startswith("no; ")


def test_a_new_cluster_gets_the_rights_once(hands, outside):
    """Role and binding are written where they lack or differ; a right that is there takes no right to grant rights."""
    ((_, first),) = hands().run([PrepareCluster(REF, "")])
    assert (first.done, first.kube_uid) == (True, "k1")
    assert outside.calls == [("apply", "ClusterRole"), ("apply", "ClusterRoleBinding")]
    assert outside.objects["ClusterRoleBinding"]["subjects"][0]["name"] == ACCOUNT
    hands().run([PrepareCluster(REF, "")])
    assert len(outside.calls) == 2
    outside.objects["ClusterRole"] = {**outside.objects["ClusterRole"], "rules": []}
    hands().run([PrepareCluster(REF, "")])
    assert outside.calls[2:] == [("apply", "ClusterRole")]


def test_the_rights_to_grant_rights_are_those_that_it_takes():
    """Read, create and change both kinds; and give what the giver does not hold."""
    held = {each for each in growth_permissions() if each.startswith("container.clusterRole")}
    both = {
        f"container.{kind}.{verb}"
        for kind in ("clusterRoles", "clusterRoleBindings")
        for verb in ("get", "create", "update")
    }
    assert held == both | {"container.clusterRoles.bind", "container.clusterRoles.escalate"}


def test_credentials_that_tell_no_account_get_no_rights_there(hands, outside):
    """A person's own credentials have theirs by IAM."""
    ((_, brought),) = hands(account="").run([PrepareCluster(REF, "")])
    assert (brought.done, outside.calls) == (True, [])


@pytest.mark.parametrize("action", [PrepareCluster(REF, ""), ClearCluster(REF, "")], ids=lambda a: type(a).__name__)
def test_a_cluster_that_cannot_be_reached_is_left_for_the_next_pass(hands, action):
    """Its endpoint is not there yet, or not any more."""
    ((_, brought),) = hands(member=None).run([action])
    assert not brought.done
    assert brought.message


def test_what_puts_a_cluster_behind_an_address_goes_first(hands, outside):
    """Then all else of every service."""
    hands().run([ClearCluster(REF, "")])
    assert outside.calls[0] == ("clear", "ServiceExport", "web")
    assert {kind for _, kind, _ in outside.calls} >= {"ServiceExport", "Service", "ServiceAccount"}
