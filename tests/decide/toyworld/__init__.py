"""A toy world for the decision: a cloud, a service in it, what must always hold, and random histories."""

from .chance import wild, wild_event
from .cloud import UNIT_PRICES, BrokenError
from .parts import Deployment, Pod
from .spec import L4, MINUTE, SETTLED, START, T4, make_spec, seconds
from .world import Toy

__all__ = [
    "L4",
    "MINUTE",
    "SETTLED",
    "START",
    "T4",
    "UNIT_PRICES",
    "BrokenError",
    "Deployment",
    "Pod",
    "Toy",
    "make_spec",
    "seconds",
    "wild",
    "wild_event",
]
