"""The capacity advice API: how likely Spot capacity is to be had and to stay, and what it costs now.

A preview that a project may not be in, asked one machine type at a time, and no promise: so every answer is optional,
an absent score is not 0, and all of it together gets a short time. It only orders what may be tried.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from controlplane.clock import Clock
from controlplane.gateways.compute import ComputeClients
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.retrying import guarded
from controlplane.gateways.together import together
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import Advice
from controlplane.model.offering import Accelerator, Capacity, Offering

LASTS = timedelta(minutes=5)
HELD = timedelta(hours=1)
ALL_TOGETHER = 2.0
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


class CapacityAdvice:
    """Asks for advice on Spot offerings, many at once, and keeps what it heard for a few minutes.

    While it cannot be had again, what was heard stands for an hour: prices that came and went would move services.
    """

    def __init__(self, clients: ComputeClients, clock: Clock, *, timeout: float) -> None:
        self._clients, self._clock, self._timeout = clients, clock, min(timeout, ALL_TOGETHER)
        self._kept: dict[Key, tuple[datetime, Fact]] = {}

    def advice(self, offerings: Iterable[Offering]) -> dict[Offering, Fact]:
        """Give what is known for those offerings that can be asked for."""
        now = self._clock.now()
        asked = {o: (o.region, o.accelerator) for o in offerings if _askable(o)}
        missing = {key for key in asked.values() if key not in self._kept or now - self._kept[key][0] >= LASTS}
        calls = {key: partial(self._ask, key, now) for key in sorted(missing)}
        for key, fact in together(calls, seconds=ALL_TOGETHER, clock=self._clock).items():
            late = Unknown(fact.unknown, now, fact.message) if isinstance(fact, GatewayError) else fact
            self._kept[key] = (now, self._held(key, late, now))
        return {offering: self._kept[key][1] for offering, key in asked.items()}

    def _held(self, key: Key, fact: Fact, now: datetime) -> Fact:
        """Give the new fact, or the last known one where the new one says nothing and that one is not old."""
        before = self._kept[key][1] if key in self._kept else None
        silent = isinstance(fact, Unknown) and fact.reason is not UnknownReason.NOT_PUBLISHED
        return before if silent and isinstance(before, Known) and now - before.at < HELD else fact

    def _ask(self, key: Key, now: datetime) -> Fact:
        region, accelerator = key
        capacity = self._part(lambda: self._capacity(region, accelerator))
        if isinstance(capacity, GatewayError):
            return Unknown(capacity.unknown, now, capacity.message)
        history = self._part(lambda: self._history(region, accelerator))
        preemption, price = (None, None) if isinstance(history, GatewayError) else history
        if capacity == (None, None) and preemption is None and price is None:
            return Unknown(UnknownReason.NOT_PUBLISHED, now, "no advice for this machine type")
        return Known(Advice(capacity[0], capacity[1], preemption, price), now)

    @staticmethod
    def _part(call: Callable[[], Any]) -> Any:
        try:
            return guarded(call, write=False)
        except GatewayError as error:
            return error

    def _capacity(self, region: str, accelerator: Accelerator) -> tuple[float | None, float | None]:
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
        answer = self._call("capacity", region, capacity_advice_request_resource=request)
        best: tuple[float | None, float | None] = (None, None)
        for recommendation in answer.recommendations:
            scores = recommendation.scores
            score = float(scores.obtainability) if "obtainability" in scores else None
            if score is not None and (best[0] is None or score > best[0]):
                best = (score, _seconds(scores.estimated_uptime))
        return best

    def _history(self, region: str, accelerator: Accelerator) -> tuple[float | None, float | None]:
        from google.cloud import compute_v1 as c

        request = c.CapacityHistoryRequest(
            types=["PREEMPTION", "PRICE"],
            instance_properties=c.CapacityHistoryRequestInstanceProperties(
                machine_type=MACHINE_TYPES[accelerator.type, accelerator.count],
                scheduling=c.CapacityHistoryRequestInstancePropertiesScheduling(provisioning_model="SPOT"),
                **_guests(accelerator),
            ),
        )
        answer = self._call("capacity_history", region, capacity_history_request_resource=request)
        rates = [float(entry.preemption_rate) for entry in answer.preemption_history]
        prices = [entry.list_price.units + entry.list_price.nanos / 1e9 for entry in answer.price_history]
        return (rates[-1] if rates else None), (float(prices[-1]) if prices and prices[-1] > 0 else None)

    def _call(self, method: str, region: str, **arguments: Any) -> Any:
        client = self._clients.get("AdviceClient")
        project = self._clients.project
        return getattr(client, method)(project=project, region=region, timeout=self._timeout, retry=None, **arguments)


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


def _seconds(text: str) -> float | None:
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        return None
