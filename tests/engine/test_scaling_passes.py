"""Placements that grow by load over whole passes: without the rights, and with a process that dies at any write."""

from controlplane.engine import ExitCode, Outcome
from controlplane.gateways import errors

HPA = "HorizontalPodAutoscaler"
NO_RIGHT = 'horizontalpodautoscalers.autoscaling is forbidden: User "runner" cannot get resource'


def deny(world):
    """Let every call about autoscalers be refused, as by a member with the rights of an earlier version."""
    for member in world.members.values():
        ask = member.get

        def get(manifest, ask=ask):
            if manifest["kind"] == HPA:
                raise errors.Forbidden(NO_RIGHT)
            return ask(manifest)

        member.get = get


def condition(world, name="web"):
    found = world.config.stored[name]["status"]["conditions"]
    return next(c for c in found if c["type"] == "Autoscaling")


def test_a_member_without_the_rights_holds_nothing_back(make_world):
    """What cannot be scaled by load serves with its fixed number, is told in one line, and stops no other service."""
    world = make_world("us-central1")
    (member,) = world.members.values()
    world.config.add(autoscaling={"maxReplicas": 3})
    deny(world)
    refused = []
    for _ in range(6):
        refused += [r for r in world.run(1).services[0].results if r.outcome is Outcome.REFUSED]
    assert len(refused) == 1
    told = condition(world)
    assert (told["status"], told["reason"]) == ("False", "AutoscalerNotMade")
    assert NO_RIGHT in told["message"]
    assert world.config.stored["web"]["status"]["ready"] == "1/1"
    assert all("hand over" not in label for label in world.journal)
    written = len(world.journal)
    assert world.run(3).exit_code is ExitCode.OK
    assert world.journal[written:] == []

    # Others come to serve in that cluster in the very pass in which the right is missed again.
    world.clock.advance(600)
    world.config.add("other")
    report = world.run(1)
    assert [r.outcome for r in report.services[0].results] == [Outcome.REFUSED]
    assert {r.outcome for r in report.services[1].results} == {Outcome.DONE}
    assert {d["metadata"]["labels"]["app"] for d in member.deployments()} == {"web", "other"}


def story(world, crash):
    """Serve with two, grow to four by load, and go back to two; give how many served after each pass."""
    (member,) = world.members.values()
    service, served = world.config.add(replicas=2, autoscaling={"maxReplicas": 4}), []

    def passes(count):
        for _ in range(count):
            try:
                world.run(1)
            except crash:
                world.crashed = False
                world.settle()
                world.clock.advance(61)
            served.append(sum("nodeName" in pod["spec"] for pod in member.pods))

    passes(6)
    assert [s["spec"]["maxReplicas"] for s in member.autoscalers()] == [4]
    world.load = 4
    passes(2)
    grown = len(served)
    del service["spec"]["autoscaling"]
    service["metadata"]["generation"] += 1
    passes(1)
    assert served[grown:] == [4] or world.hooks, "the pass that takes the number back takes no Pod"
    passes(6)
    return served


def end_of(world):
    (member,) = world.members.values()
    (found,) = member.deployments()
    return found["spec"]["replicas"], member.autoscalers(), dict(world.config.stored["web"]["status"])["ready"]


def test_whoever_dies_between_two_writes_leaves_what_serves(make_world, crash):
    """Whichever write is the last of a process: never fewer serve than are wanted, and the end is the same (S6, L1)."""
    whole = make_world("us-central1")
    story(whole, crash)
    assert end_of(whole) == (2, [], "2/2")
    about = [i for i, label in enumerate(whole.journal) if "hand over" in label or HPA in label or " scale " in label]
    theirs = [i for i in range(about[0], about[-1] + 1) if "/gpu-" in whole.journal[i]]
    assert len(theirs) > 5
    for index in (about[0] - 1, *theirs):
        for hook in ("crash-after", "lost-after"):
            world = make_world("us-central1")
            world.hooks[index] = hook
            served = story(world, crash)
            where = f"{hook} at {whole.journal[index]}"
            begun = served.index(2)
            assert min(served[begun:]) == 2, where
            assert end_of(world) == (2, [], "2/2"), where
            written = len(world.journal)
            assert world.run(2).exit_code is ExitCode.OK, where
            assert world.journal[written:] == [], where
