"""What a local cloud runs on, so that tests can put another clock and other containers below the very same cloud."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.localcloud.clock import ShiftableClock, SystemClock
from controlplane.localcloud.controllers.horizontal import PodMetrics
from controlplane.localcloud.kubelet.probes import Checker, check
from controlplane.localcloud.kubelet.process import Runtime
from controlplane.localcloud.kubelet.warm import WarmRuntime
from controlplane.localcloud.loadbalancer.proxy import Proxy


@dataclass(frozen=True, slots=True)
class Machine:
    """What a local cloud runs on: its clock, containers, their probes, and the proxy (None: Envoy).

    metrics: who knows what Pods use; None where it is measured.

    With a virtual clock hours pass in seconds, but real processes do not keep pace with it: whoever brings such a clock
    brings the rest too.
    """

    clock: ShiftableClock = field(default_factory=SystemClock)
    runtime: Runtime = field(default_factory=WarmRuntime)
    checker: Checker = check
    proxy: Callable[[Path], Proxy] | None = None
    metrics: PodMetrics | None = None
