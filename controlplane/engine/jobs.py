"""Carrying out what was decided for a batch: Jobs are started and scaled first, then deleted.

The rules are those of `act.py`: the fence stands before every write, all clusters are worked on at once, a write whose
outcome is not known ends the work on its cluster, and nothing is taken away after something that failed to add.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import regional_deploy
from controlplane.clock import Clock
from controlplane.engine.carrying import Carrying
from controlplane.engine.fence import Fence
from controlplane.engine.outcome import Outcome, Result
from controlplane.engine.ports import MemberCluster
from controlplane.gateways import errors
from controlplane.model import naming
from controlplane.model.batch import BatchAction, BatchSpec, DeleteJob, ReleaseBatch, ScaleJob, StartJob
from controlplane.model.offering import ClusterRef

Handles = Mapping[ClusterRef, MemberCluster]
_OnJobs = StartJob | ScaleJob | DeleteJob


class JobExecutor:
    """Carries out the plans of batches in one pass."""

    def __init__(self, fence: Fence, clock: Clock) -> None:
        self._fence = fence
        self._carrying: Carrying[_OnJobs] = Carrying(fence, clock, "GPUBatch")

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

    def _stage(self, batch: BatchSpec, actions: Sequence[_OnJobs], handles: Handles) -> dict[int, Result]:
        done = self._carrying.stage(actions, _cluster, partial(self._do, batch, handles), handles)
        return {id(result.action): result for result in done}

    def _do(self, batch: BatchSpec, handles: Handles, action: _OnJobs) -> str:
        member = handles[action.offering.cluster]
        self._fence.check(destructive=isinstance(action, DeleteJob))
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


def _cluster(action: _OnJobs) -> ClusterRef:
    return action.offering.cluster
