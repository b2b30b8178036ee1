"""What an offering's past says about its future: the chance of getting it now, and the hazard of losing it.

Of all that recorded capacity shows, the age of a spell matters most: what has just come up is some thirty times
likelier to be gone within the hour than what has been up for half a day. So every offering has the general hazard at
the age of its present spell, times a factor of its own: losses seen over losses foretold, drawn towards 1 while little
is known. What Google Cloud's advice says moves both within bounds, since it may be wrong or absent.

The table was measured on two public records of spot capacity (AWS V100 in 9 zones over 45 days, Google H100 in 13 zones
over 15 days) and lies between the two. Losing something while the rest is kept makes a spell young again: after a first
preemption a second mostly follows within minutes (SkyServe, EuroSys 2025).
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from controlplane.model.memory import OfferingMemory
from controlplane.model.observation import Advice

HAZARD = ((1 / 6, 1.8), (0.5, 1.15), (1.0, 0.7), (2.0, 0.38), (6.0, 0.16), (12.0, 0.08), (math.inf, 0.06))
"""Losses per hour of a spell by its age: (up to so many hours, hazard)."""

OUTLOOK = 2.0
"""Hours over which a hazard is averaged: about as long as a choice stands."""

UNKNOWN_AGE = 3.0
"""Hours that a spell is taken to have lasted before it was first seen, where nothing says that it cannot have."""

BELIEF = 1.0
"""Foretold losses that an offering must outweigh before its own record counts more than the general one."""

FADING = 0.9
"""What an attempt's outcome weighs after the next one."""

RECOVERY = timedelta(minutes=30)
"""How long after a first refusal a sold-out offering is as likely to have come back as not; longer after more."""

TOGETHER = 0.3
"""How often zones of a region fail together: recorded for 29 to 32 % of losses, within ten minutes of each other."""

BOUND = 3.0
"""How far the advice API can move a hazard, either way."""

WORTH_TELLING = 0.05
"""Foretold losses below which not having lost any says nothing."""

SPELL = timedelta(minutes=5)
"""Hazards change continuously; they are looked at in steps of this, so that passes in between decide alike."""

ORIGIN = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def step(now: datetime) -> datetime:
    """Give the beginning of the present step of the clock that hazards go by."""
    return ORIGIN + (now - ORIGIN) // SPELL * SPELL


def foretold(age: float, until: float) -> float:
    """Give how many losses the general hazard foretells between two ages, in hours."""
    total, low = 0.0, max(0.0, age)
    for edge, rate in HAZARD:
        if edge > low:
            total += rate * (min(edge, until) - low)
            low = edge
        if edge >= until:
            break
    return max(0.0, total)


def age(past: OfferingMemory, now: datetime) -> float:
    """Give the age in hours of the spell in which the offering has capacity, as far as it is known or likely."""
    if past.up_since is not None:
        return max(0.0, _hours(now - past.up_since))
    return _unseen(past, now)


def hazard(past: OfferingMemory, now: datetime, advice: Advice | None = None) -> float:
    """Give the losses an hour to be expected of what is held there, or would be, over the next hours."""
    at = step(now)
    begun = age(past, at)
    general = foretold(begun, begun + OUTLOOK) / OUTLOOK
    return general * factor(past, at) * _advised(general, advice)


def factor(past: OfferingMemory, now: datetime) -> float:
    """Give how many times the general hazard an offering has shown: 1 knows nothing, 3 loses three times as often."""
    return (past.losses + BELIEF) / (_exposure(past, now) + BELIEF)


def chance(
    past: OfferingMemory, now: datetime, advice: Advice | None = None, sold_out: datetime | None = None
) -> float:
    """Give the probability that a launch succeeds now.

    `sold_out`: when the same was last refused in the region, there or in another cluster. Where that is newer than all
    that is known of the offering itself, it lowers the chance by as much as zones fail together, and wears off.
    """
    bad = _latest(past.last_refused_at, past.last_lost_at)
    known = _latest(bad, past.last_obtained_at)
    own = _own_chance(past, now, advice, bad)
    if sold_out is None or past.held_since is not None or (known is not None and known >= sold_out):
        return own
    since = max(step(now), sold_out) - sold_out
    return own * (1 - TOGETHER * math.exp(-since / RECOVERY))


def _own_chance(past: OfferingMemory, now: datetime, advice: Advice | None, bad: datetime | None) -> float:
    if past.held_since is not None:
        return 0.97
    told = advice.obtainability if advice and advice.obtainability is not None else 0.6
    usual = (past.wins + 3 * told) / (past.tries + 3)
    if bad is None or (past.last_obtained_at is not None and past.last_obtained_at > bad):
        return usual
    since = max(step(now), bad) - bad
    return usual * (1 - math.exp(-since / (RECOVERY * max(1, past.failures))))


def told(past: OfferingMemory, now: datetime, *, lasts: bool = False) -> str:
    """Say for people what was learnt; empty where nothing was. `lasts`: it is on-demand, which is not taken away."""
    parts = []
    if past.tries:
        parts.append(f"{past.wins:.2g} of the last {past.tries:.2g} attempts obtained")
    foreseen = 0.0 if lasts else _exposure(past, now)
    if past.losses or foreseen >= WORTH_TELLING:
        parts.append(f"lost {past.losses:.2g} times where {foreseen:.2g} were to be expected")
    if past.held_since is not None:
        parts.append(f"held for {_hours(now - past.held_since):.1f} h")
    return ", ".join(parts)


def won(past: OfferingMemory, began: datetime, now: datetime) -> OfferingMemory:
    """Learn that an attempt begun then has obtained what it asked for."""
    start = began - timedelta(hours=_unseen(past, began))
    return replace(
        past,
        tries=past.tries * FADING + 1,
        wins=past.wins * FADING + 1,
        up_since=past.up_since or start,
        held_since=past.held_since or now,
    )


def failed(past: OfferingMemory, now: datetime) -> OfferingMemory:
    """Learn that an attempt obtained nothing for want of capacity.

    Where something is held, the spell goes on; but it has no room left, so it counts as half as old.
    """
    begun = past.up_since if past.held_since is not None else None
    if begun is not None:
        begun += (now - begun) / 2
    return replace(past, tries=past.tries * FADING + 1, wins=past.wins * FADING, up_since=begun)


def lost(past: OfferingMemory, now: datetime, *, rest: bool) -> OfferingMemory:
    """Learn of a preemption. `rest`: something is still held there."""
    begun = now if rest else None
    return replace(
        past, losses=past.losses + 1, exposure=_exposure(past, now), up_since=begun, held_since=begun, last_lost_at=now
    )


def left(past: OfferingMemory, now: datetime) -> OfferingMemory:
    """Learn that nothing is held there any more, by our own action: so long there was capacity."""
    return replace(past, exposure=_exposure(past, now), held_since=None, last_obtained_at=now)


def _exposure(past: OfferingMemory, now: datetime) -> float:
    """Give the losses foretold for all the time held, that which still runs included."""
    if past.held_since is None:
        return past.exposure
    return past.exposure + foretold(age(past, past.held_since), age(past, now))


def _unseen(past: OfferingMemory, now: datetime) -> float:
    """Give the likely age of a spell that has not been seen: half the time since it was last known not to run."""
    bad = _latest(past.last_refused_at, past.last_lost_at)
    return UNKNOWN_AGE if bad is None else max(0.0, min(UNKNOWN_AGE, _hours(now - bad) / 2))


def _advised(general: float, advice: Advice | None) -> float:
    uptime = advice.estimated_uptime_seconds if advice else None
    if not uptime:
        return 1.0
    return min(BOUND, max(1 / BOUND, 3600 / uptime / general))


def _latest(*instants: datetime | None) -> datetime | None:
    return max((i for i in instants if i is not None), default=None)


def _hours(span: timedelta) -> float:
    return span / timedelta(hours=1)
