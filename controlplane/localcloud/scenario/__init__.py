"""Scenario files: what the local cloud's Google Cloud project consists of, and how fast its world turns.

A scenario is a YAML file. It is read once, checked as a whole, and from then on is a frozen value. What changes while
the local cloud runs (stock, quota limits, regions that are down) lives in `stock.py`, which starts from a scenario.
"""

from controlplane.localcloud.scenario.catalog import ACCELERATORS, MACHINE_TYPES, AcceleratorType, MachineType
from controlplane.localcloud.scenario.load import default_scenario, load_scenario
from controlplane.localcloud.scenario.model import (
    CAPACITIES,
    FLEX_START,
    ON_DEMAND,
    SPOT,
    Advice,
    ClusterSpec,
    Delays,
    LoadBalancerSpec,
    Price,
    QuotaLimit,
    Region,
    Scenario,
    StockEntry,
    Trace,
    region_of,
)
from controlplane.localcloud.scenario.reader import ScenarioError

__all__ = [
    "ACCELERATORS",
    "CAPACITIES",
    "FLEX_START",
    "MACHINE_TYPES",
    "ON_DEMAND",
    "SPOT",
    "AcceleratorType",
    "Advice",
    "ClusterSpec",
    "Delays",
    "LoadBalancerSpec",
    "MachineType",
    "Price",
    "QuotaLimit",
    "Region",
    "Scenario",
    "ScenarioError",
    "StockEntry",
    "Trace",
    "default_scenario",
    "load_scenario",
    "region_of",
]
