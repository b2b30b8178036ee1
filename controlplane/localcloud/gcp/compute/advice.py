"""The Advice API: how obtainable Spot capacity is, how often it is preempted, what it has cost.

A score is a hint, not a promise: the scenario's figure, cut down as the stock runs low. Where the scenario has no
figures at all, the project is outside the preview.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.gcp.errors import GoogleError, invalid
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.scenario import FLEX_START, ON_DEMAND, SPOT, Advice

Document: TypeAlias = dict[str, Any]

_CAPACITY = {"SPOT": SPOT, "STANDARD": ON_DEMAND, "FLEX_START": FLEX_START}
_HISTORY_DAYS = 7
_MOST_MACHINE_TYPES = 5


class AdviceApi:
    """Answers `advice.capacity` and `advice.capacityHistory`."""

    def __init__(self, project: Project, clock: Clock) -> None:
        self._project = project
        self._clock = clock

    def capacity(self, region: str, body: Mapping[str, Any]) -> Document:
        """Say how obtainable machines are in a region now."""
        self._check(region, "compute.advice.capacity")
        size = int(body.get("size") or 0)
        if size < 1:
            raise invalid("Invalid value for field 'resource.size': must be at least 1.")
        selections = (body.get("instanceFlexibilityPolicy") or {}).get("instanceSelections") or {}
        machines = [name for selection in selections.values() for name in selection.get("machineTypes") or ()]
        if not 1 <= len(machines) <= _MOST_MACHINE_TYPES:
            raise invalid(f"Between 1 and {_MOST_MACHINE_TYPES} machine types are required, found {len(machines)}.")
        model = _model(body)
        accelerators = {self._accelerator(machine, selections) for machine in machines}
        if model != "SPOT" or None in accelerators:
            return {"recommendations": []}
        known = [advice for each in accelerators if each and (advice := self._advice(region, each)) is not None]
        if not known:
            return {"recommendations": []}
        # One score for all machine types asked about together: that of the best.
        best = max(known, key=lambda advice: advice.obtainability or 0)
        recommendation: Document = {"scores": self._scores(best, size)}
        if shards := self._shards(best, machines, size, model):
            recommendation["shards"] = shards
        return {"recommendations": [recommendation]}

    def history(self, region: str, body: Mapping[str, Any]) -> Document:
        """Say what Spot machines of one type cost, and how often they were preempted, by day."""
        self._check(region, "compute.advice.capacityHistory")
        properties = body.get("instanceProperties") or {}
        machine = properties.get("machineType") or ""
        if not machine:
            raise invalid("Invalid value for field 'resource.instanceProperties.machineType': ''. It is required.")
        if _model(body) != "SPOT":
            raise invalid("Only provisioning model SPOT has a capacity history.")
        types = body.get("types") or []
        selection = {"": {"guestAccelerators": properties.get("guestAccelerators")}}
        accelerator = self._accelerator(machine, selection)
        location = (body.get("locationPolicy") or {}).get("location") or f"regions/{region}"
        answer: Document = {"machineType": machine, "location": location}
        advice = self._advice(region, accelerator) if accelerator else None
        if "PREEMPTION" in types and advice is not None and advice.preemption_rate is not None:
            rate = advice.preemption_rate
            answer["preemptionHistory"] = [{"interval": day, "preemptionRate": rate} for day in self._days()]
        gpus = self._gpus(machine, properties.get("guestAccelerators") or ())
        if "PRICE" in types and (price := self._price(accelerator, region, gpus)) is not None:
            units = int(price)
            money = {"currencyCode": "USD", "units": str(units), "nanos": round((price - units) * 1e9)}
            answer["priceHistory"] = [{"interval": day, "listPrice": money} for day in self._days()]
        return answer

    def _check(self, region: str, permission: str) -> None:
        if not self._project.knows(region):
            path = f"projects/{self._project.name}/regions/{region}"
            raise GoogleError("NOT_FOUND", f"The resource '{path}' was not found", "notFound")
        if not self._project.scenario.advice:
            where = f"projects/{self._project.name}/regions/{region}"
            raise GoogleError("PERMISSION_DENIED", f"Required '{permission}' permission for '{where}'", "forbidden")
        self._project.check_up(region)

    def _advice(self, region: str, accelerator: str) -> Advice | None:
        found = self._project.scenario.advice
        return next((each for each in found if (each.region, each.accelerator) == (region, accelerator)), None)

    def _scores(self, advice: Advice, size: int) -> Document:
        scores: Document = {}
        if advice.obtainability is not None:
            share = min(1.0, self._free(advice) / size)
            scores["obtainability"] = round(advice.obtainability * share, 3)
        if advice.uptime_seconds is not None:
            scores["estimatedUptime"] = f"{int(advice.uptime_seconds)}s"
        return scores

    def _free(self, advice: Advice) -> int:
        zones = self._project.scenario.zones_of(advice.region)
        pools = self._project.stock.pools(zones)
        return sum(p.free for p in pools if (p.pool.accelerator, p.pool.capacity) == (advice.accelerator, SPOT))

    def _shards(self, advice: Advice, machines: list[str], size: int, model: str) -> list[Document]:
        """Say where the machines would be: the zones with the most, until there are enough."""
        pools = self._project.stock.pools(self._project.scenario.zones_of(advice.region))
        mine = [p for p in pools if (p.pool.accelerator, p.pool.capacity) == (advice.accelerator, _CAPACITY[model])]
        shards, left = [], size
        for state in sorted(mine, key=lambda each: -each.free):
            count = min(left, state.free)
            if count:
                zone = f"https://www.googleapis.com/compute/v1/projects/{self._project.name}/zones/{state.pool.zone}"
                shards.append(
                    {"zone": zone, "instanceCount": count, "machineType": machines[0], "provisioningModel": model}
                )
                left -= count
        return shards

    def _accelerator(self, machine: str, selections: Mapping[str, Any]) -> str | None:
        """Find the GPU of a machine type; N1 machines have the one that the request attaches."""
        for selection in selections.values():
            for attached in selection.get("guestAccelerators") or ():
                kind: str = attached.get("acceleratorType", "")
                return kind.rpartition("/")[2]
        if machine.startswith("n1-"):
            return None
        return next((m.accelerator for m in self._project.scenario.machine_types if m.name == machine), None)

    def _gpus(self, machine: str, attached: Sequence[Mapping[str, Any]]) -> int:
        """Count the GPUs of a machine: what is attached, else what is part of it."""
        number = sum(int(each.get("acceleratorCount") or 1) for each in attached)
        return number or next((m.gpus for m in self._project.scenario.machine_types if m.name == machine), 1)

    def _price(self, accelerator: str | None, region: str, gpus: int) -> float | None:
        """Price a machine by its GPUs; the scenario knows no other prices."""
        wanted = (accelerator, region, SPOT)
        prices = self._project.scenario.prices
        return next((p.usd_per_hour * gpus for p in prices if (p.accelerator, p.region, p.capacity) == wanted), None)

    def _days(self) -> list[Document]:
        today: datetime = self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        starts = [today - timedelta(days=days) for days in range(_HISTORY_DAYS, 0, -1)]
        return [{"startTime": rfc3339(start), "endTime": rfc3339(start + timedelta(days=1))} for start in starts]


def _model(body: Mapping[str, Any]) -> str:
    scheduling = (body.get("instanceProperties") or {}).get("scheduling") or {}
    model: str = scheduling.get("provisioningModel") or "STANDARD"
    return model
