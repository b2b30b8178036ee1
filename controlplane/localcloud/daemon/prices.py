"""The scenario's prices as the price table that the reconciler reads: GPU type, region, capacity type, USD an hour."""

from controlplane.localcloud.scenario import Scenario


def price_table(scenario: Scenario) -> str:
    """Give the table as YAML."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for price in scenario.prices:
        table.setdefault(price.accelerator, {}).setdefault(price.region, {})[price.capacity] = price.usd_per_hour
    lines = ["# USD for one GPU for one hour, written from the local cloud's scenario at every start.\n"]
    for accelerator, regions in sorted(table.items()):
        lines.append(f"{accelerator}:\n")
        for region, row in sorted(regions.items()):
            cells = ", ".join(f"{capacity}: {usd:g}" for capacity, usd in sorted(row.items()))
            lines.append(f"  {region}: {{{cells}}}\n")
    return "".join(lines)
