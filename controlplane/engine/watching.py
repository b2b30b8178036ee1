"""Passes at an interval, until asked to stop; the lease stays with the process in between."""

from collections.abc import Callable

from controlplane.engine.outcome import PassReport
from controlplane.engine.reconcile import Reconciler


def watch(
    reconciler: Reconciler,
    *,
    interval: float,
    on_pass: Callable[[PassReport], None] = lambda _report: None,
    passes: int | None = None,
    dry_run: bool = False,
) -> PassReport:
    """Make passes until `reconciler.stop` is requested or `passes` are made; give the last report.

    The interval is between the end of one pass and the start of the next, so passes never overlap.
    """
    made = 0
    try:
        while True:
            report = reconciler.run_pass(dry_run=dry_run, keep_lease=True)
            made += 1
            on_pass(report)
            if (passes is not None and made >= passes) or reconciler.stop.wait(interval):
                return report
    finally:
        reconciler.release()
