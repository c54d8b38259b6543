"""Distances between copies: the places of cloud regions and of R2 jurisdictions.

An R2 jurisdiction guarantees only that objects stay within its borders. So its distance is that of its nearest data
centre, and never counts as greater than it may be. Coordinates are those of the metropolitan areas that the providers
name, in degrees; distances are along a great circle, in kilometres.
"""

from __future__ import annotations

import math
from typing import Final

Point = tuple[float, float]

REGIONS: Final[dict[str, Point]] = {
    "eu-central-1": (50.11, 8.68),  # Frankfurt
    "eu-central-2": (47.37, 8.54),  # Zurich
    "eu-west-1": (53.35, -6.26),  # Dublin
    "eu-west-2": (51.51, -0.13),  # London
    "eu-west-3": (48.86, 2.35),  # Paris
    "eu-north-1": (59.33, 18.07),  # Stockholm
    "eu-south-1": (45.46, 9.19),  # Milan
    "eu-south-2": (41.65, -0.89),  # Zaragoza
    "us-east-1": (38.95, -77.45),  # Northern Virginia
    "us-east-2": (39.96, -83.00),  # Columbus
    "us-west-1": (37.35, -121.96),  # Northern California
    "us-west-2": (45.84, -119.70),  # Boardman
    "us-gov-east-1": (39.96, -83.00),  # Columbus
    "us-gov-west-1": (45.84, -119.70),  # Boardman
    "ca-central-1": (45.50, -73.57),  # Montreal
    "ca-west-1": (51.05, -114.07),  # Calgary
    "sa-east-1": (-23.55, -46.63),  # São Paulo
    "af-south-1": (-33.92, 18.42),  # Cape Town
    "ap-south-1": (19.08, 72.88),  # Mumbai
    "ap-southeast-1": (1.35, 103.82),  # Singapore
    "ap-southeast-2": (-33.87, 151.21),  # Sydney
    "ap-northeast-1": (35.68, 139.69),  # Tokyo
    "ap-northeast-2": (37.57, 126.98),  # Seoul
    "me-central-1": (25.20, 55.27),  # Dubai
    "il-central-1": (32.08, 34.78),  # Tel Aviv
}

# The metropolitan areas in each jurisdiction with large sites of Cloudflare; those near its borders matter most.
JURISDICTIONS: Final[dict[str, tuple[Point, ...]]] = {
    "eu": (
        (50.11, 8.68),  # Frankfurt
        (52.37, 4.90),  # Amsterdam
        (48.86, 2.35),  # Paris
        (53.35, -6.26),  # Dublin
        (59.33, 18.07),  # Stockholm
        (60.17, 24.94),  # Helsinki
        (52.23, 21.01),  # Warsaw
        (48.21, 16.37),  # Vienna
        (45.46, 9.19),  # Milan
        (40.42, -3.70),  # Madrid
        (38.72, -9.14),  # Lisbon
        (37.98, 23.73),  # Athens
        (44.43, 26.10),  # Bucharest
    ),
    "us": (
        (42.36, -71.06),  # Boston
        (40.71, -74.01),  # New York
        (38.95, -77.45),  # Ashburn
        (25.76, -80.19),  # Miami
        (41.88, -87.63),  # Chicago
        (32.78, -96.80),  # Dallas
        (47.61, -122.33),  # Seattle
        (37.35, -121.96),  # San José
        (34.05, -118.24),  # Los Angeles
    ),
}
JURISDICTIONS["fedramp"] = JURISDICTIONS["us"]

EARTH_KM: Final = 6371.0


class Unlisted(tuple[float, float]):
    """A region that is not in the table; its distances are unknown."""

    region: str = ""

    @classmethod
    def of(cls, region: str) -> Unlisted:
        """Return the place of an unlisted region."""
        place = cls((math.nan, math.nan))
        place.region = region
        return place


def places(*, region: str = "", jurisdiction: str = "") -> tuple[Point, ...]:
    """Return the places in a region or a jurisdiction; none for an unknown jurisdiction."""
    if jurisdiction:
        return JURISDICTIONS.get(jurisdiction, ())
    return (REGIONS.get(region) or Unlisted.of(region),)


def least_km(one: tuple[Point, ...], other: tuple[Point, ...]) -> float:
    """Return the least distance between two sets of places, 0 if one is empty; `LookupError` for an unlisted region."""
    for place in (*one, *other):
        if isinstance(place, Unlisted):
            raise LookupError(f"region {place.region} is not in policies/views/geography.py; add it")
    return min((great_circle_km(a, b) for a in one for b in other), default=0.0)


def great_circle_km(one: Point, other: Point) -> float:
    """Return the great-circle distance of two points."""
    (lat1, lon1), (lat2, lon2) = ((math.radians(lat), math.radians(lon)) for lat, lon in (one, other))
    chord = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(chord))
