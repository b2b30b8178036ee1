"""In which order a number of replicas changes hands, and what is left undone when it cannot."""

import pytest

import regional_deploy
from controlplane.engine.lease import FenceLost
from controlplane.engine.scaling import Scaling
from controlplane.engine.services import spending_nothing
from controlplane.gateways import errors
from controlplane.model import naming
from controlplane.model.decision import (
    Autoscaled,
    Counts,
    Decision,
    DeletePlacement,
    StartAutoscaling,
    StopAutoscaling,
)
from controlplane.model.memory import Memory
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering
from controlplane.model.service import Autoscaling, PodTemplate, ServiceSpec

PLACED = Offering(ClusterRef("us-a1", "gpu-1"), Accelerator("nvidia-l4"), Capacity.SPOT)
SPEC = ServiceSpec(
    name="web",
    namespace="default",
    uid="uid",
    generation=1,
    replicas=2,
    accelerators=(Accelerator("nvidia-l4"),),
    pod=PodTemplate(image="app:1", port=7860),
    autoscaling=Autoscaling(4, 25),
)
START = StartAutoscaling(PLACED, 2, Autoscaled(4, 3, "u"), "7", "test")
STOP = StopAutoscaling(PLACED, 3, "u", "7", "test")


class Member:
    """A member cluster that takes everything down; `found` is what stands under the autoscaler's name."""

    def __init__(self, found=None, broken=""):
        self.done, self._found, self._broken = [], found, broken

    def _do(self, what, *more):
        if what == self._broken:
            raise errors.Conflict("it has changed")
        self.done.append((what, *more))

    def get(self, _manifest):
        return self._found

    def hand_over(self, _namespace, _name, replicas, *, resource_version):
        self._do("hand over", replicas, resource_version)
        return "8"

    def apply(self, manifest, *, resource_version=None):
        spec = manifest["spec"]
        told = spec.get("replicas") if manifest["kind"] == "Deployment" else (spec["minReplicas"], spec["maxReplicas"])
        self._do(f"apply {manifest['kind']}", told, resource_version)

    def scale_down(self, _namespace, _name, replicas, *, resource_version, fence):
        self._do("set replicas", replicas, resource_version, fence)

    def delete_owned(self, manifest):
        self._do(f"delete {manifest['kind']}")
        return True

    def delete_deployment(self, _namespace, _name, *, uid, resource_version):
        self._do("delete Deployment", uid, resource_version)


class Fence:
    """Lets so many writes through."""

    number = 5

    def __init__(self, left=100):
        self._left = left

    def check(self, *, destructive=False):
        self._left -= 1
        if self._left < 0:
            raise FenceLost("test")


def scaling(member, fence=None):
    return Scaling(member, SPEC, PLACED, fence or Fence())


def ours():
    return regional_deploy.autoscaler(SPEC, PLACED, minimum=2, maximum=4, uid="u", spec_hash="h")


def test_replicas_are_let_go_of_before_an_autoscaler_takes_them():
    """They are held at what was seen, the Deployment is applied without them, and only then is the autoscaler made."""
    member = Member()
    assert scaling(member).start(START) == ""
    assert member.done == [
        ("hand over", 3, "7"),
        ("apply Deployment", None, "8"),
        ("apply HorizontalPodAutoscaler", (2, 4), None),
    ]


def test_one_that_is_there_gets_its_new_bounds_and_nothing_else_is_written():
    """The Deployment is not touched, so that no rollout and no number depends on it."""
    member = Member(ours())
    update = StartAutoscaling(PLACED, 2, Autoscaled(4, 3, "u"), "7", "test", begins=False)
    assert scaling(member).start(update) == ""
    assert member.done == [("apply HorizontalPodAutoscaler", (2, 4), None)]


def test_an_autoscaler_of_somebody_else_stays_and_nothing_is_written():
    """Its name is told, and the replicas stay ours."""
    foreign = ours()
    foreign["metadata"]["labels"] = {}
    member = Member(foreign)
    name = naming.deployment_name("web", PLACED.accelerator, PLACED.capacity)
    assert scaling(member).start(START) == f"HorizontalPodAutoscaler/{name} is not ours"
    assert member.done == []


def test_a_deployment_that_has_changed_gets_no_autoscaler():
    """What was decided rests on what was seen, and is decided again."""
    member = Member(broken="hand over")
    with pytest.raises(errors.Conflict):
        scaling(member).start(START)
    assert member.done == []


def test_on_the_way_back_the_autoscaler_goes_first():
    """Else it would undo what is set; a deletion takes it along in the same order."""
    member = Member()
    scaling(member).stop(STOP)
    assert member.done == [("delete HorizontalPodAutoscaler",), ("set replicas", 3, "7", 5)]
    member = Member()
    scaling(member).delete_with(DeletePlacement(PLACED, "u", "7", "test", autoscaled=True))
    assert member.done == [("delete HorizontalPodAutoscaler",), ("delete Deployment", "u", "7")]


@pytest.mark.parametrize("writes", range(3))
def test_who_lost_the_fence_writes_no_further(writes):
    """Every step asks for itself."""
    member = Member()
    with pytest.raises(FenceLost):
        scaling(member, Fence(writes)).start(START)
    assert len(member.done) <= writes + 1
    assert not [each for each in member.done if each[0] == "apply HorizontalPodAutoscaler"]


def test_nothing_that_may_cost_begins_while_nobody_knows_what_the_silent_hold():
    """Letting a placement grow is spending, as asking for a replica is."""
    counts = Counts(2, 0, 0, 2, 0, 0.0, (), ())
    decision = spending_nothing(Decision((START, STOP), Memory(), (), (), counts))
    assert decision.plan == (STOP,)
    assert [s.guard for s in decision.suppressed] == ["S4"]
