"""Actions on many clusters, for services and batches alike: all clusters at once, on one cluster in the plan's order.

A write whose outcome is not known ends the work on its cluster, for the rest of the pass.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Generic, TypeVar, cast

from controlplane.clock import Clock
from controlplane.engine.fanout import Fanout
from controlplane.engine.fence import Fence
from controlplane.engine.lease import FenceLost
from controlplane.engine.outcome import Outcome, Result
from controlplane.gateways import errors
from controlplane.gateways.errors import GatewayError
from controlplane.model.batch import BatchAction
from controlplane.model.decision import Action
from controlplane.model.offering import ClusterRef

SECONDS_PER_ACTION = 60.0
A = TypeVar("A", bound=Action | BatchAction)


class Carrying(Generic[A]):
    """Carries out the actions of one pass for objects of one kind; None stands for the config cluster."""

    def __init__(self, fence: Fence, clock: Clock, kind: str) -> None:
        self._fence, self._clock, self._kind = fence, clock, kind
        self._closed: dict[ClusterRef | None, str] = {}

    def stage(
        self,
        actions: Iterable[A],
        cluster_of: Callable[[A], ClusterRef | None],
        do: Callable[[A], str],
        known: Collection[ClusterRef],
        *,
        apart: bool = False,
    ) -> list[Result]:
        """Give what became of each action.

        do: carries one out under the fence; gives the name of an object that is in the way and not ours. known: the
        members that can be reached. apart: they need a right of their own, and where that is missing, whatever else
        is to be written there still is.
        """
        groups: dict[ClusterRef | None, list[A]] = {}
        for action in actions:
            groups.setdefault(cluster_of(action), []).append(action)
        fanout: Fanout[ClusterRef | None] = Fanout(self._clock)
        for cluster, group in groups.items():
            seconds = min(SECONDS_PER_ACTION * len(group), self._fence.left)
            reached = cluster is None or cluster in known
            work = partial(self._group, cluster, group, do, reached=reached, apart=apart)
            fanout.start(cluster, work, seconds=seconds)
        fanout.wait(groups)
        results: list[Result] = []
        for cluster, group in groups.items():
            error = fanout.error(cluster)
            if error is None:
                results += cast("list[Result]", fanout.result(cluster))
            else:  # it is still at one request: the fence lets no other follow, but what becomes of it, nobody knows
                self._closed[cluster] = error.message
                results += [Result(action, Outcome.AMBIGUOUS, error.message, errors.Ambiguous.hint) for action in group]
        return results

    def _group(
        self, cluster: ClusterRef | None, actions: Sequence[A], do: Callable[[A], str], *, reached: bool, apart: bool
    ) -> list[Result]:
        if not reached:
            why = "the cluster is not in the fleet's listing of this pass"
            return [Result(action, Outcome.SKIPPED, why) for action in actions]
        return [self._one(cluster, action, do, apart=apart) for action in actions]

    def _one(self, cluster: ClusterRef | None, action: A, do: Callable[[A], str], *, apart: bool) -> Result:
        if cluster in self._closed:
            return Result(action, Outcome.SKIPPED, f"no more writes there in this pass: {self._closed[cluster]}")
        try:
            foreign = do(action)
        except FenceLost as error:
            return Result(action, Outcome.SKIPPED, str(error))
        except GatewayError as error:
            if error.ends_cluster and not (apart and isinstance(error, errors.Forbidden)):
                self._closed[cluster] = error.message
            return Result(action, _outcome_of(error), error.message, error.hint, type(error).__name__)
        if foreign:
            return Result(action, Outcome.FOREIGN, foreign, f"rename the {self._kind} or remove the object")
        return Result(action, Outcome.DONE)


def _outcome_of(error: GatewayError) -> Outcome:
    """Say what became of a write that failed with this error."""
    if isinstance(error, errors.Ambiguous):
        return Outcome.AMBIGUOUS
    if isinstance(error, errors.Conflict):
        return Outcome.CONFLICT
    refused = (errors.Invalid, errors.Forbidden, errors.AuthExpired, errors.QuotaExceeded, errors.StockOut)
    return Outcome.REFUSED if isinstance(error, refused) else Outcome.FAILED
