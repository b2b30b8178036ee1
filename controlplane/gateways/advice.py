"""The capacity advice API: how likely Spot capacity is to be had and to stay, how often it went, and what it costs.

A preview that a project may not be in, asked one machine type at a time, and no promise: so every answer is optional,
an absent figure is not 0, one that cannot be (NaN, below nothing, a share above 1) is as good as absent, and all of it
together gets a short time. What it expects (capacity) and what has been (history) are asked apart and side by side: one
that hangs or is forbidden does not take the other along. It only orders what may be tried.

It takes what the pass's calls leave: for the user's first GPU type first, and of all regions or of none, since what is
known of some places only would draw replicas to them or away. The same is left out in every pass of a scheduled job, so
that prices do not come and go; a process that watches has asked for all of it after a few passes.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from controlplane.clock import Clock
from controlplane.gateways.compute import ComputeClients
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.instants import parse_instant
from controlplane.gateways.together import together
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import Advice
from controlplane.model.offering import Accelerator, Capacity, Offering

LASTS = timedelta(minutes=5)
HISTORY_LASTS = timedelta(minutes=30)
"""The history has a record a day: asking for it each time would be half of all calls."""
HELD = timedelta(hours=1)
ALL_TOGETHER = 2.0
LONGEST_UPTIME = timedelta(days=366)
# The smallest machine type that carries this many GPUs of a type (section "machine types" of Compute Engine's pages).
MACHINE_TYPES: dict[tuple[str, int], str] = {
    ("nvidia-l4", 1): "g2-standard-8",
    ("nvidia-l4", 2): "g2-standard-24",
    ("nvidia-l4", 4): "g2-standard-48",
    ("nvidia-l4", 8): "g2-standard-96",
    ("nvidia-tesla-t4", 1): "n1-standard-8",
    ("nvidia-tesla-t4", 2): "n1-standard-16",
    ("nvidia-tesla-t4", 4): "n1-standard-32",
    ("nvidia-tesla-a100", 1): "a2-highgpu-1g",
    ("nvidia-tesla-a100", 2): "a2-highgpu-2g",
    ("nvidia-tesla-a100", 4): "a2-highgpu-4g",
    ("nvidia-tesla-a100", 8): "a2-highgpu-8g",
    ("nvidia-a100-80gb", 1): "a2-ultragpu-1g",
    ("nvidia-a100-80gb", 2): "a2-ultragpu-2g",
    ("nvidia-a100-80gb", 4): "a2-ultragpu-4g",
    ("nvidia-a100-80gb", 8): "a2-ultragpu-8g",
    ("nvidia-h100-80gb", 1): "a3-highgpu-1g",
    ("nvidia-h100-80gb", 2): "a3-highgpu-2g",
    ("nvidia-h100-80gb", 4): "a3-highgpu-4g",
    ("nvidia-h100-80gb", 8): "a3-highgpu-8g",
    ("nvidia-rtx-pro-6000", 1): "g4-standard-48",
}
_ATTACHED = frozenset({"nvidia-tesla-t4"})
"""GPU types that are attached to a general machine type and so are named beside it."""

Fact = Known[Advice] | Unknown
Key = tuple[str, Accelerator]
Figures = tuple[float | None, float | None]


class Part(StrEnum):
    """What is asked; the value is the client's method. The one that matters more comes first."""

    CAPACITY = "capacity"
    HISTORY = "capacity_history"


class CapacityAdvice:
    """Asks for advice on Spot offerings, many at once, and keeps what it heard for a few minutes.

    While it cannot be had again, what was heard stands for an hour: prices that came and went would move services.
    """

    def __init__(
        self, clients: ComputeClients, clock: Clock, *, timeout: float, left: Callable[[int], int] | None = None
    ) -> None:
        self._clients, self._clock, self._timeout = clients, clock, min(timeout, ALL_TOGETHER)
        self._left = left or (lambda _regions: sys.maxsize)
        self._kept: dict[tuple[Part, Key], tuple[datetime, Known[Figures] | Unknown]] = {}

    def advice(self, offerings: Iterable[Offering]) -> dict[Offering, Fact]:
        """Give what is known for those offerings that can be asked for, the more wanted GPU types before the others."""
        now, listed = self._clock.now(), list(offerings)
        asked = {o: (o.region, o.accelerator) for o in listed if _askable(o)}
        left = self._left(len({o.region for o in listed}))
        calls: dict[tuple[Part, Key], Callable[[], Known[Figures] | Unknown]] = {}
        for group in self._groups(asked.values(), now):
            if len(group) <= left - len(calls):
                calls.update({(part, key): partial(self._ask, part, key, now) for part, key in group})
        for (part, key), fact in together(calls, seconds=ALL_TOGETHER, clock=self._clock).items():
            heard = Unknown(fact.unknown, now, fact.message) if isinstance(fact, GatewayError) else fact
            self._kept[part, key] = (now, self._held(part, key, heard, now))
        return {offering: self._combined(key) for offering, key in asked.items()}

    def _groups(self, asked: Iterable[Key], now: datetime) -> Iterator[list[tuple[Part, Key]]]:
        """Give what is due of each GPU type and part, in the order in which it matters."""
        keys = list(dict.fromkeys(asked))
        for accelerator in dict.fromkeys(accelerator for _, accelerator in keys):
            for part in Part:
                of_type = sorted(key for key in keys if key[1] == accelerator)
                yield [(part, key) for key in of_type if self._due(part, key, now)]

    def _due(self, part: Part, key: Key, now: datetime) -> bool:
        asked_at, fact = self._kept.get((part, key), (None, None))
        if asked_at is None:
            return True
        fresh = isinstance(fact, Known) and fact.at == asked_at
        return now - asked_at >= (HISTORY_LASTS if part is Part.HISTORY and fresh else LASTS)

    def _held(self, part: Part, key: Key, fact: Known[Figures] | Unknown, now: datetime) -> Known[Figures] | Unknown:
        """Give the new fact, or the last known one where the new one says nothing and that one is not old."""
        before = self._kept[part, key][1] if (part, key) in self._kept else None
        silent = isinstance(fact, Unknown) and fact.reason is not UnknownReason.NOT_PUBLISHED
        return before if silent and isinstance(before, Known) and now - before.at < HELD else fact

    def _combined(self, key: Key) -> Fact:
        """Put both parts together; it is as old as what it expects, since what has been hardly ages."""
        nothing = Unknown(UnknownReason.NOT_ASKED, self._clock.now(), "no calls were left for it")
        capacity, history = (self._kept.get((p, key), (None, nothing))[1] for p in (Part.CAPACITY, Part.HISTORY))
        if isinstance(capacity, Unknown):
            if isinstance(history, Unknown):
                return capacity
            return Known(Advice(None, None, *history.value), history.at)
        past = history.value if isinstance(history, Known) else (None, None)
        return Known(Advice(*capacity.value, *past), capacity.at)

    def _ask(self, part: Part, key: Key, now: datetime) -> Known[Figures] | Unknown:
        figures = self._capacity(*key) if part is Part.CAPACITY else self._history(*key)
        if figures == (None, None):
            return Unknown(UnknownReason.NOT_PUBLISHED, now, "no advice for this machine type")
        return Known(figures, now)

    def _capacity(self, region: str, accelerator: Accelerator) -> Figures:
        """Give obtainability and seconds of uptime, of the recommendation that is likeliest to be had."""
        from google.cloud import compute_v1 as c

        selection = c.CapacityAdviceRequestInstanceFlexibilityPolicyInstanceSelection(
            machine_types=[MACHINE_TYPES[accelerator.type, accelerator.count]], **_guests(accelerator)
        )
        request = c.CapacityAdviceRequest(
            size=1,
            distribution_policy=c.CapacityAdviceRequestDistributionPolicy(target_shape="ANY"),
            instance_properties=c.CapacityAdviceRequestInstanceProperties(
                scheduling=c.CapacityAdviceRequestInstancePropertiesScheduling(provisioning_model="SPOT")
            ),
            instance_flexibility_policy=c.CapacityAdviceRequestInstanceFlexibilityPolicy(
                instance_selections={"one": selection}
            ),
        )
        answer = self._call(Part.CAPACITY, region, capacity_advice_request_resource=request)
        found = [_expected(recommendation.scores) for recommendation in answer.recommendations]
        return max(found, key=lambda figures: -1 if figures[0] is None else figures[0], default=(None, None))

    def _history(self, region: str, accelerator: Accelerator) -> Figures:
        """Give the latest preemption rate and Spot price."""
        from google.cloud import compute_v1 as c

        request = c.CapacityHistoryRequest(
            types=["PREEMPTION", "PRICE"],
            instance_properties=c.CapacityHistoryRequestInstanceProperties(
                machine_type=MACHINE_TYPES[accelerator.type, accelerator.count],
                scheduling=c.CapacityHistoryRequestInstancePropertiesScheduling(provisioning_model="SPOT"),
                **_guests(accelerator),
            ),
        )
        answer = self._call(Part.HISTORY, region, capacity_history_request_resource=request)
        rates = [_share(r.preemption_rate) for r in _by_time(answer.preemption_history) if "preemption_rate" in r]
        prices = [_dollars(record.list_price) for record in _by_time(answer.price_history)]
        return (rates[-1] if rates else None), (prices[-1] if prices else None)

    def _call(self, part: Part, region: str, **arguments: Any) -> Any:
        call = getattr(self._clients.get("AdviceClient"), part.value)
        return call(project=self._clients.project, region=region, timeout=self._timeout, retry=None, **arguments)


def _guests(accelerator: Accelerator) -> dict[str, Any]:
    if accelerator.type not in _ATTACHED:
        return {}
    from google.cloud import compute_v1 as c

    return {
        "guest_accelerators": [
            c.AcceleratorConfig(accelerator_type=accelerator.type, accelerator_count=accelerator.count)
        ]
    }


def _askable(offering: Offering) -> bool:
    """Say whether the API answers for it: it promises that for Spot only."""
    key = (offering.accelerator.type, offering.accelerator.count)
    return offering.capacity is Capacity.SPOT and key in MACHINE_TYPES


def _expected(scores: Any) -> Figures:
    return (_share(scores.obtainability) if "obtainability" in scores else None), _uptime(scores.estimated_uptime)


def _share(value: float) -> float | None:
    return float(value) if 0 <= value <= 1 else None  # NaN is neither


def _uptime(text: str) -> float | None:
    """Read `3600s`. Nothing is up for no time or for years, and whoever divides by it must not be hurt."""
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        return None
    return seconds if 0 < seconds <= LONGEST_UPTIME.total_seconds() else None


def _dollars(price: Any) -> float | None:
    amount = float(price.units + price.nanos / 1e9)
    return amount if price.currency_code in {"", "USD"} and math.isfinite(amount) and amount > 0 else None


def _by_time(records: Iterable[Any]) -> list[Any]:
    """Sort oldest first, and what has no time before all others; in which order they come is not promised."""

    def end(record: Any) -> float:
        instant = parse_instant(record.interval.end_time)
        return instant.timestamp() if instant else -math.inf

    return sorted(records, key=end)
