"""What a batch would be, before anything is spent: pictures, shards, GPU hours and their price."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from controlplane.cli.connect import Settings
from controlplane.cli.output import console

if TYPE_CHECKING:
    from controlplane.gateways.parameters import Parameters

_CENT = 0.01


def reckoned(read: "Parameters", spec: Mapping[str, Any], settings: Settings, speed: float) -> dict[str, Any]:
    """Give what a batch would be: pictures, shards, GPU hours, and their price where it is cheapest and dearest."""
    from controlplane.api.prices import DEFAULT_TABLE, load_prices

    hours = read.pixel_steps / speed / 3600
    kinds = {each["type"] for each in spec["accelerators"]}
    capacities = set(spec.get("capacityTypes") or ("spot", "on-demand"))
    allowed = set((spec.get("regions") or {}).get("allowed") or ())
    prices = [
        price
        for (kind, region, capacity), price in load_prices(settings.prices or DEFAULT_TABLE).items()
        if kind in kinds and capacity.value in capacities and (not allowed or region in allowed)
    ]
    told = {"cheapest": round(min(prices) * hours, 4), "dearest": round(max(prices) * hours, 4)} if prices else {}
    shards = -(-read.pictures // int(spec["shardSize"]))
    size = {"name": read.name, "pictures": read.pictures, "shards": shards, "files": sorted(read.files)}
    return {**size, "pixel_steps": read.pixel_steps, "speed": speed, "gpu_hours": round(hours, 4), "usd": told}


def show_reckoned(data: Mapping[str, Any]) -> None:
    shards = f"{data['shards']:,} shard{'' if data['shards'] == 1 else 's'}"
    console.print(f"{data['name']}: {data['pictures']:,} pictures in {shards}")
    usd = data["usd"]
    if not usd:
        priced = ", at no known price"
    elif usd["dearest"] < _CENT:
        priced = ", less than a cent for the GPUs"
    else:
        priced = f", {usd['cheapest']:.2f} to {usd['dearest']:.2f} $ for the GPUs"
    console.print(
        f"{data['pixel_steps'] / 1e6:,.1f} million pixel steps: {data['gpu_hours']:.2f} GPU hours{priced}, "
        f"if a GPU makes {data['speed'] / 1e6:g} million a second (--speed); starting workers not counted",
        soft_wrap=True,
    )
