"""The one retry policy: safe reads, a few times, within the patience of the caller.

Nothing else in the reconciler repeats a call: the SDKs' own retries are off, since nested ones multiply and outlive
their deadline, and a write is never repeated because a pass does not know whether the first one happened.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from controlplane.clock import Clock, SystemClock, jitter
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.translate import translate

T = TypeVar("T")
LONGEST_WAIT = 2.0


@dataclass(frozen=True, slots=True)
class Retrying:
    """Tries a read up to `attempts` times within `patience` seconds; waits as long as a server asks, or gives up."""

    attempts: int = 3
    patience: float = 8.0
    first_wait: float = 0.2
    clock: Clock = field(default_factory=SystemClock)

    def read(self, call: Callable[[], T]) -> T:
        """Give the call's answer, or raise the last error as a GatewayError."""
        import tenacity

        began = self.clock.monotonic()
        growing = tenacity.wait_exponential(multiplier=self.first_wait, max=LONGEST_WAIT)
        spread = jitter(1.0)  # drawn once a call: what `hopeless` reckons with is what is then waited

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, GatewayError) else None
            return asked if asked is not None else growing(state) * spread

        def hopeless(state: tenacity.RetryCallState) -> bool:
            spent = self.clock.monotonic() - began
            return state.attempt_number >= self.attempts or spent + wait(state) > self.patience

        policy = tenacity.Retrying(
            stop=hopeless,
            wait=wait,
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, GatewayError) and e.retry_in_pass),
            sleep=self.clock.sleep,
            reraise=True,
        )
        return policy(lambda: guarded(call, write=False))


def guarded(call: Callable[[], T], *, write: bool) -> T:
    """Make a call to the outside; whatever it raises leaves as a GatewayError."""
    try:
        return call()
    except GatewayError:
        raise
    except Exception as error:  # the edge of the program: everything foreign is translated here
        raise translate(error, write=write) from error
