"""Bindings in IAM policies: one member in one role, and nothing else touched."""

import pytest

from controlplane.bootstrap.handlers.policies import Bindings, with_member
from controlplane.bootstrap.values import Binding, Call, Part, Seen, State
from controlplane.gateways.errors import Conflict

READ, WRITE = Call("GET", "/v1/thing:getIamPolicy"), Call("POST", "/v1/thing:setIamPolicy")
US, OTHER = "serviceAccount:us@p.iam.gserviceaccount.com", "user:other@example.com"


class Policy:
    """A policy that is written under its etag; the first `races` writes come after somebody else's."""

    def __init__(self, bindings, races=0):
        self.policy = {"etag": "0", "bindings": bindings}
        self.races = races

    def read(self, api, method, path, body=None):
        return {**self.policy, "bindings": list(self.policy["bindings"])}

    def write(self, api, method, path, body=None):
        policy = body["policy"]
        if self.races:
            self.races -= 1
            self.policy = {**self.policy, "etag": self.policy["etag"] + "+"}
        if policy["etag"] != self.policy["etag"]:
            raise Conflict("There were concurrent policy changes.")
        self.policy = {**policy, "etag": policy["etag"] + "1"}
        return self.policy


def part():
    return Part("role r of us", Binding("iam", READ, WRITE, "r", US, "thing"))


def test_a_member_is_added_beside_others():
    """Who was in the role stays in it."""
    policy = Policy([{"role": "r", "members": [OTHER]}, {"role": "s", "members": [US]}])
    Bindings(policy).make(part(), Seen(State.ABSENT))
    assert policy.policy["bindings"] == [{"role": "r", "members": [OTHER, US]}, {"role": "s", "members": [US]}]
    assert Bindings(policy).look(part()).state is State.PRESENT


def test_a_role_that_nobody_is_left_in_goes():
    """Taking the last member out leaves no empty binding."""
    policy = Policy([{"role": "r", "members": [US]}, {"role": "s", "members": [US]}])
    Bindings(policy).remove(part(), Seen(State.PRESENT))
    assert policy.policy["bindings"] == [{"role": "s", "members": [US]}]


def test_a_change_of_somebody_else_is_read_again():
    """A write under an old etag is made anew from what stands there now."""
    policy = Policy([], races=2)
    Bindings(policy).make(part(), Seen(State.ABSENT))
    assert policy.policy["bindings"] == [{"role": "r", "members": [US]}]


def test_who_always_comes_first_is_told():
    """After some attempts the conflict goes to the caller."""
    with pytest.raises(Conflict):
        Bindings(Policy([], races=99)).make(part(), Seen(State.ABSENT))


def test_a_binding_with_a_condition_is_not_ours():
    """A member under a condition counts as absent, and its binding stays as it is."""
    bound = {"role": "r", "members": [US], "condition": {"expression": "request.time < timestamp('2027-01-01')"}}
    policy = Policy([bound])
    assert Bindings(policy).look(part()).state is State.ABSENT
    assert with_member(policy.policy, "r", US, add=False)["bindings"] == [bound]
    assert with_member(policy.policy, "r", US, add=True)["bindings"] == [bound, {"role": "r", "members": [US]}]
