"""A pass: observe, decide, act, report; with a lease, deadlines, and nothing written that was not meant."""

from controlplane.engine.limits import LeaseName, Limits
from controlplane.engine.outcome import ExitCode, Outcome, PassReport, Result, ServiceReport
from controlplane.engine.reconcile import Gateways, Reconciler
from controlplane.engine.stopping import Stop
from controlplane.engine.watching import watch

__all__ = [
    "ExitCode",
    "Gateways",
    "LeaseName",
    "Limits",
    "Outcome",
    "PassReport",
    "Reconciler",
    "Result",
    "ServiceReport",
    "Stop",
    "watch",
]
