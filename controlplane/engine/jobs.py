"""Carrying out what was decided for a batch: Jobs are started and scaled first, then deleted.

The rules are those of `act.py`: the fence stands before every write, all clusters are worked on at once, a write whose
outcome is not known ends the work on its cluster, and nothing is taken away after something that failed to add.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import regional_deploy
from controlplane.clock import Clock
from controlplane.engine.act import SECONDS_PER_ACTION, outcome_of
from controlplane.engine.fanout import Fanout
from controlplane.engine.fence import Fence
from controlplane.engine.lease import FenceLost
from controlplane.engine.outcome import Outcome, Result
from controlplane.engine.ports import MemberCluster
from controlplane.gateways import errors
from controlplane.gateways.errors import GatewayError
from controlplane.model import naming
from controlplane.model.batch import BatchAction, BatchSpec, DeleteJob, ReleaseBatch, ScaleJob, StartJob
from controlplane.model.offering import ClusterRef

Handles = Mapping[ClusterRef, MemberCluster]


class JobExecutor:
    """Carries out the plans of batches in one pass."""

    def __init__(self, fence: Fence, clock: Clock) -> None:
        self._fence, self._clock = fence, clock
        self._closed: dict[ClusterRef, str] = {}

    def run(self, batch: BatchSpec, plan: Sequence[BatchAction], handles: Handles) -> tuple[Result, ...]:
        """Carry out all but the release of the GPUBatch, and tell what became of each action, in the plan's order."""
        adds = [action for action in plan if isinstance(action, StartJob | ScaleJob)]
        takes = [action for action in plan if isinstance(action, DeleteJob)]
        done = self._stage(batch, adds, handles)
        failed = next((result for result in done.values() if result.outcome is not Outcome.DONE), None)
        if failed is None or batch.deleting:
            done |= self._stage(batch, takes, handles)
        else:
            why = f"nothing is taken away after: {failed.action}: {failed.outcome.value}"
            done |= {id(action): Result(action, Outcome.SKIPPED, why) for action in takes}
        return tuple(done[id(action)] for action in plan if not isinstance(action, ReleaseBatch))

    def _stage(
        self, batch: BatchSpec, actions: Sequence[StartJob | ScaleJob | DeleteJob], handles: Handles
    ) -> dict[int, Result]:
        groups: dict[ClusterRef, list[StartJob | ScaleJob | DeleteJob]] = {}
        for action in actions:
            groups.setdefault(action.offering.cluster, []).append(action)
        fanout: Fanout[ClusterRef] = Fanout(self._clock)
        for cluster, group in groups.items():
            seconds = min(SECONDS_PER_ACTION * len(group), self._fence.left)
            fanout.start(cluster, partial(self._group, batch, group, handles), seconds=seconds)
        fanout.wait(groups)
        results: dict[int, Result] = {}
        for cluster, group in groups.items():
            error = fanout.error(cluster)
            if error is None:
                found = cast("list[Result]", fanout.result(cluster))
            else:  # it is still at one request; what becomes of that, nobody knows
                self._closed[cluster] = error.message
                found = [Result(action, Outcome.AMBIGUOUS, error.message, errors.Ambiguous.hint) for action in group]
            results |= {id(result.action): result for result in found}
        return results

    def _group(
        self, batch: BatchSpec, actions: Sequence[StartJob | ScaleJob | DeleteJob], handles: Handles
    ) -> list[Result]:
        return [self._one(batch, action, handles) for action in actions]

    def _one(self, batch: BatchSpec, action: StartJob | ScaleJob | DeleteJob, handles: Handles) -> Result:
        cluster = action.offering.cluster
        if cluster in self._closed:
            return Result(action, Outcome.SKIPPED, f"no more writes there in this pass: {self._closed[cluster]}")
        if cluster not in handles:
            return Result(action, Outcome.SKIPPED, "the cluster is not in the fleet's listing of this pass")
        try:
            self._fence.check(destructive=isinstance(action, DeleteJob))
            foreign = self._do(batch, action, handles[cluster])
        except FenceLost as error:
            return Result(action, Outcome.SKIPPED, str(error))
        except GatewayError as error:
            if error.ends_cluster:
                self._closed[cluster] = error.message
            return Result(action, outcome_of(error), error.message, error.hint, type(error).__name__)
        if foreign:
            return Result(action, Outcome.FOREIGN, foreign, "rename the GPUBatch or remove the object")
        return Result(action, Outcome.DONE)

    def _do(self, batch: BatchSpec, action: StartJob | ScaleJob | DeleteJob, member: MemberCluster) -> str:
        match action:
            case StartJob():
                return self._start(batch, action, member)
            case ScaleJob():
                member.scale_job(
                    batch.namespace,
                    action.name,
                    action.workers,
                    resource_version=action.resource_version,
                    fence=self._fence.number,
                )
            case DeleteJob():
                member.delete_job(batch.namespace, action.name, uid=action.uid)
        return ""

    def _start(self, batch: BatchSpec, action: StartJob, member: MemberCluster) -> str:
        manifest = regional_deploy.job(batch, action, fence=self._fence.number)
        found = member.get(manifest)
        if found is not None:
            if not naming.is_of_batch(found, batch.name):
                return f"Job/{manifest['metadata']['name']} is not ours"
            raise errors.AlreadyExists("the Job appeared since it was observed")
        self._fence.check()
        member.ensure(regional_deploy.namespace(batch.namespace))
        self._fence.check()
        member.apply(manifest)
        return ""
