"""How far regions are from a client, for proximity routing.

Google's global load balancer sends a request to the nearest region that is healthy. Here all clients sit in one place,
so the order of regions by great-circle distance from `client_region` is all there is to know.
"""

import math
from collections.abc import Iterable

# Latitude and longitude of the places that Google names for its regions, to the nearest degree.
_PLACES: dict[str, tuple[int, int]] = {
    "africa-south1": (-26, 28),
    "asia-east1": (24, 121),
    "asia-east2": (22, 114),
    "asia-northeast1": (36, 140),
    "asia-northeast2": (35, 135),
    "asia-northeast3": (38, 127),
    "asia-south1": (19, 73),
    "asia-south2": (29, 77),
    "asia-southeast1": (1, 104),
    "asia-southeast2": (-6, 107),
    "asia-southeast3": (14, 101),
    "australia-southeast1": (-34, 151),
    "australia-southeast2": (-38, 145),
    "europe-central2": (52, 21),
    "europe-north1": (61, 27),
    "europe-north2": (59, 18),
    "europe-southwest1": (40, -4),
    "europe-west1": (50, 4),
    "europe-west10": (53, 13),
    "europe-west12": (45, 8),
    "europe-west2": (52, 0),
    "europe-west3": (50, 9),
    "europe-west4": (53, 7),
    "europe-west6": (47, 9),
    "europe-west8": (45, 9),
    "europe-west9": (49, 2),
    "me-central1": (25, 51),
    "me-central2": (26, 50),
    "me-west1": (32, 35),
    "northamerica-northeast1": (46, -74),
    "northamerica-northeast2": (44, -79),
    "northamerica-south1": (21, -100),
    "southamerica-east1": (-24, -47),
    "southamerica-west1": (-33, -71),
    "us-central1": (41, -96),
    "us-east1": (33, -80),
    "us-east4": (39, -77),
    "us-east5": (40, -83),
    "us-south1": (33, -97),
    "us-west1": (46, -121),
    "us-west2": (34, -118),
    "us-west3": (41, -112),
    "us-west4": (36, -115),
}
EARTH_RADIUS_KM = 6371


def region_of(location: str) -> str:
    """Give the region of a region or zone; AI zones look like `us-south1-ai1b`."""
    return location.rsplit("-", 1)[0] if location.count("-") > 1 else location


def kilometres(one: str, other: str) -> float:
    """Give the distance between two regions; infinity when one is not in the table."""
    if one == other:
        return 0.0
    if one not in _PLACES or other not in _PLACES:
        return math.inf
    (lat1, lon1), (lat2, lon2) = ([math.radians(x) for x in _PLACES[region]] for region in (one, other))
    arc = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(arc))


def nearest_first(client_region: str, regions: Iterable[str]) -> list[str]:
    """Order regions by distance; those that are not in the table come last, by name."""
    return sorted(set(regions), key=lambda region: (kilometres(client_region, region), region))
