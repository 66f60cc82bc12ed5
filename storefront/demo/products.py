"""What the shop sells: twelve things for animals, with the price Pricing asks and the stock that
Inventory starts with. Catalog itself knows no price (contracts.md section 2.3).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from decimal import Decimal

# Enough that a demo left running for a day does not sell out.
PLENTY = 5_000

# Ids that the real services would have drawn once and kept: the same after every restart.
_NAMESPACE = uuid.UUID("6f1f8b9c-52c3-4f0e-9d55-0a4d8c1e7b21")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One article. `status`: 0 Active, 1 Discontinued, 2 ComingSoon, 3 OutOfSeason."""

    sku: str
    name: str
    price: Decimal | None  # None: Pricing has not published one
    category: str
    description: str
    tags: tuple[str, ...] = ()
    brand: str | None = None
    status: int = 0
    stock: int = PLENTY

    @property
    def picture(self) -> str:
        """Where the page finds the drawing; relative, for the demo is served under many names."""
        return f"/ui/pictures/{self.sku}.svg"


def fixed_guid(name: str) -> str:
    """The guid that belongs to this name, for ever."""
    return str(uuid.uuid5(_NAMESPACE, name))


# 19.99 and 29.99 so that the sums of the real system's own tests can be formed: 39.98, 59.98,
# 69.97, 149.95.
ARTICLES = (
    Product(
        sku="DOG-BOWL-01",
        name="Ceramic Dog Bowl",
        price=Decimal("19.99"),
        category="Dogs",
        description="Heavy stoneware that stays where it stands. Holds one good breakfast.",
        tags=("bowl", "ceramic"),
    ),
    Product(
        sku="DOG-BED-02",
        name="Orthopaedic Dog Bed",
        price=Decimal("89.00"),
        category="Dogs",
        description="Memory foam under a washable cover, for old hips and long naps.",
        tags=("bed",),
    ),
    Product(
        sku="DOG-LEASH-03",
        name="Rope Leash",
        price=Decimal("24.50"),
        category="Dogs",
        description="Climbing rope with a brass clip. Two metres, soft in the hand.",
        tags=("walk",),
    ),
    Product(
        sku="CAT-TOY-05",
        name="Interactive Cat Laser",
        price=Decimal("29.99"),
        category="Cats",
        description="A red dot with a mind of its own. Stops before the cat does.",
        tags=("toy",),
    ),
    Product(
        sku="CAT-TREE-06",
        name="Three-Storey Cat Tree",
        price=Decimal("129.90"),
        category="Cats",
        description="Sisal posts, two platforms and a den with a view of the room.",
        tags=("furniture",),
    ),
    Product(
        sku="CAT-LITTER-07",
        name="Clumping Litter, 10 kg",
        price=Decimal("14.49"),
        category="Cats",
        description="Plain clay, no perfume. Your cat has opinions about perfume.",
        tags=("litter",),
    ),
    Product(
        sku="FISH-TANK-08",
        name="Aquarium Starter, 20 l",
        price=Decimal("79.95"),
        category="Fish",
        description="Glass tank with a quiet filter and a light. The last two of their kind.",
        tags=("aquarium",),
        # Scarce on purpose: the third order of it shows what a failed reservation looks like.
        stock=2,
    ),
    Product(
        sku="FISH-FOOD-09",
        name="Flake Food",
        price=Decimal("5.25"),
        category="Fish",
        description="A pinch a day for small and colourful fish.",
        tags=("food",),
    ),
    Product(
        sku="BIRD-HOUSE-10",
        name="Cedar Nest Box",
        price=Decimal("34.00"),
        category="Birds",
        description="Untreated cedar, a 32 mm hole and a lid that opens for cleaning.",
        tags=("garden",),
    ),
    Product(
        sku="BIRD-SEED-11",
        name="Wild Bird Seed, 5 kg",
        price=Decimal("17.80"),
        category="Birds",
        description="Sunflower hearts, millet and a little oat. Popular with everyone.",
        tags=("food", "garden"),
    ),
    Product(
        sku="HAM-WHEEL-12",
        name="Silent Hamster Wheel",
        price=Decimal("22.75"),
        category="Small pets",
        description="Ball bearings instead of squeaks, so that all of you can sleep.",
        tags=("exercise",),
    ),
    Product(
        sku="RAB-HAY-13",
        name="Meadow Hay, 2 kg",
        price=Decimal("9.99"),
        category="Small pets",
        description="First cut, long stalks, smells of June.",
        tags=("food",),
    ),
)
