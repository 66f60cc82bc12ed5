"""Who shops here, and where they live. Two customers are ready; more can be registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from storefront.demo.refusals import ConflictError, InvalidError, UnknownUserError
from storefront.demo.shelf import Shelf
from storefront.demo.ticks import Now

ALICE = "11111111-1111-1111-1111-111111111111"
BOB = "22222222-2222-2222-2222-222222222222"

# No customer of the demo needs more; the hundred and first is refused with 400.
ADDRESSES_EACH = 100

# Everyone's. It opens a simulated shop that holds nothing of anybody's.
PASSWORD = "password"  # noqa: S105 - the demo's door has a painted lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A saved address. `type`: Shipping, Billing or Both."""

    address_id: str
    type: str
    nickname: str
    line1: str
    line2: str | None = None
    city: str
    state: str
    postal_code: str
    country: str
    is_default: bool = False
    is_verified: bool = True

    @property
    def display_line(self) -> str:
        lines = f"{self.line1}, {self.line2}" if self.line2 else self.line1
        return f"{lines}, {self.city}, {self.state} {self.postal_code}, {self.country}"


ALICE_HOME = Address(
    address_id="aaaaaaaa-0000-4000-8000-000000000001",
    type="Both",
    nickname="Home",
    line1="123 Main St",
    city="Seattle",
    state="WA",
    postal_code="98101",
    country="US",
    is_default=True,
)
ALICE_WORK = Address(
    address_id="aaaaaaaa-0000-4000-8000-000000000002",
    type="Shipping",
    nickname="Work",
    line1="500 Pine St",
    line2="Floor 7",
    city="Seattle",
    state="WA",
    postal_code="98101",
    country="US",
)
BOB_HOME = Address(
    address_id="bbbbbbbb-0000-4000-8000-000000000001",
    type="Both",
    nickname="Home",
    line1="77 Lake Ave",
    city="Spokane",
    state="WA",
    postal_code="99201",
    country="US",
    is_default=True,
)


@dataclass(slots=True, kw_only=True)
class Customer:
    """Somebody with an account."""

    customer_id: str
    email: str
    first_name: str
    last_name: str
    created_at: int
    addresses: list[Address] = field(default_factory=list)


class Customers:
    """The accounts, newest 10,000."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._by_id: Shelf[str, Customer] = Shelf("Customer")
        self._move_in()

    def _move_in(self) -> None:
        alice = self.register(ALICE, "alice@critter.test", "Alice", "Archer")
        alice.addresses += [ALICE_HOME, ALICE_WORK]
        bob = self.register(BOB, "bob@critter.test", "Bob", "Barker")
        bob.addresses.append(BOB_HOME)

    def register(self, customer_id: str, email: str, first: str, last: str) -> Customer:
        """Open an account.

        Raises:
            ConflictError: the e-mail address has one.
        """
        if self._by_email(email) is not None:
            raise ConflictError("A customer with this email already exists")
        customer = Customer(
            customer_id=customer_id,
            email=email,
            first_name=first,
            last_name=last,
            created_at=self._now(),
        )
        self._by_id.put(customer_id, customer)
        return customer

    def get(self, customer_id: str) -> Customer:
        """The customer.

        Raises:
            NotFoundError: there is none.
        """
        return self._by_id.get(customer_id)

    def sign_in(self, email: str, password: str) -> Customer:
        """Check a password.

        Raises:
            UnknownUserError: wrong, or no such customer; which of the two is not said.
        """
        customer = self._by_email(email)
        if customer is None or password != PASSWORD:
            raise UnknownUserError("Invalid email or password")
        return customer

    def addresses(self, customer_id: str, kind: str | None = None) -> Sequence[Address]:
        """The saved addresses; of an unknown customer, none. A kind also matches `Both`."""
        customer = self._by_id.find(customer_id)
        saved = customer.addresses if customer else []
        return [a for a in saved if kind is None or a.type in {kind, "Both"}]

    def address(self, address_id: str) -> Address | None:
        saved = (a for customer in self._by_id.newest_first() for a in customer.addresses)
        return next((a for a in saved if a.address_id == address_id), None)

    def add_address(self, customer_id: str, address: Address) -> None:
        """Save an address.

        Raises:
            NotFoundError: no such customer.
            ConflictError: the nickname is taken.
            InvalidError: the customer has 100 already.
        """
        saved = self.get(customer_id).addresses
        if any(a.nickname == address.nickname for a in saved):
            raise ConflictError("An address with this nickname already exists")
        if len(saved) >= ADDRESSES_EACH:
            raise InvalidError({"CustomerId": ["Too many addresses."]})
        saved.append(address)

    def _by_email(self, email: str) -> Customer | None:
        wanted = email.casefold()
        everyone = self._by_id.newest_first()
        return next((c for c in everyone if c.email.casefold() == wanted), None)
