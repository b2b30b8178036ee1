"""Where the pictures of a batch are rendered: the services' hunt, with Jobs for Deployments and no address to wire."""

from controlplane.decide.batches.as_service import Ahead, ahead_of, as_service
from controlplane.decide.batches.decision import BatchDecision, Seen, decide_batch

__all__ = ["Ahead", "BatchDecision", "Seen", "ahead_of", "as_service", "decide_batch"]
