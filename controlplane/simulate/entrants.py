"""Who is replayed: policies by name, and ours once for each worth of a missing replica that is asked about.

A trade-off is a curve of such worths. In prices of one replica on demand it means the same on every trace, whatever a
GPU costs there; the presets are points of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controlplane.decide.valued.worth import PRESETS
from controlplane.model.service import Policy, ServiceSpec
from controlplane.simulate.registry import HUNTER
from controlplane.simulate.trace import Trace

BY_ORDER = "hunter by order"
"""Ours without a word on what a missing replica costs: the user's order alone."""

_ROUND = (1.0, 2.0, 4.0, 16.0, 40.0, 160.0)
_NEAR = 1.3


@dataclass(frozen=True, slots=True)
class Entrant:
    """A line of the table. `worth`: USD an hour that a missing replica costs, where ours is replayed at several."""

    label: str
    policy: str
    spec: ServiceSpec
    worth: float | None = None


def entrants(names: Sequence[str], spec: ServiceSpec, worths: Sequence[float] = ()) -> list[Entrant]:
    """Give every policy once, and ours at every worth when there are several."""
    found = []
    for name in names:
        if name == HUNTER and len(worths) > 1:
            found += [_at(worth, f"hunter ${worth:g}", spec) for worth in worths]
        else:
            found.append(Entrant(name, name, spec))
    return found


def tradeoff(names: Sequence[str], spec: ServiceSpec, trace: Trace, worths: Sequence[float] = ()) -> list[Entrant]:
    """Give ours at every worth, or at those of the ladder, then by order alone, then the other policies."""
    price = trace.on_demand_price
    own = [_at(worth, f"hunter ${worth:g}", spec) for worth in worths]
    if not own:
        own = [_at(times * price, f"hunter {told(times)}", spec) for times in ladder()]
    by_order = Entrant(BY_ORDER, HUNTER, replace(spec, policy=Policy(max_spares=spec.policy.max_spares)))
    return [*own, by_order, *entrants([name for name in names if name != HUNTER], spec)]


def ladder() -> list[float]:
    """Give the worths of a curve, in prices of a replica on demand: the presets, and round ones between them."""
    presets = list(PRESETS.values())
    between = [times for times in _ROUND if all(not 1 / _NEAR < times / preset < _NEAR for preset in presets)]
    return sorted([*presets, *between])


def told(times: float) -> str:
    """Say a worth in a word: the preset that it is, or how many prices on demand."""
    return next((preset.value for preset, worth in PRESETS.items() if worth == times), f"{times:g}x")


def _at(worth: float, label: str, spec: ServiceSpec) -> Entrant:
    return Entrant(label, HUNTER, replace(spec, policy=replace(spec.policy, missing_replica_cost=worth)), worth)
