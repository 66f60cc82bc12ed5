"""Each customer's view generation, where the views' cache lives in the same process.

A generation guards what is kept in memory, so memory is where it belongs: asking costs no thread
and renewing no commit. It may be forgotten, with the process or at the bound; what may never happen
is that an old one comes back, because a view read before an event would then pass for a new one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from storefront.domain.ids import CustomerId
from storefront.store.contract import stamped

# As many customers as a process may have streams of, and as many again who only look at pages. At
# the bound the longest unchanged is forgotten, and costs its share of the forgotten one reading
# anew.
GENERATIONS_KEPT = 40_000
# Shares of the forgotten. With one for all, each that is forgotten would make all others' views
# old.
SHARES = 4096


class Generations:
    """The generations of the customers who had an event lately.

    Args:
        token: makes a new one: random, and never the same twice.
        kept: how many are remembered.
    """

    def __init__(self, token: Callable[[], str], *, kept: int = GENERATIONS_KEPT) -> None:
        self._token = token
        self._kept = kept
        self._current: OrderedDict[CustomerId, str] = OrderedDict()
        self._of_the_forgotten: dict[int, str] = {}

    def of(self, customer: CustomerId) -> str:
        """The customer's generation; "" while no event of their share was ever forgotten."""
        found = self._current.get(customer)
        return self._of_the_forgotten.get(_share(customer), "") if found is None else found

    def renew(self, customer: CustomerId, now: float) -> str:
        """Give the customer a new one, which tells that it is of now."""
        generation = self._current[customer] = stamped(self._token(), now)
        self._current.move_to_end(customer)
        if len(self._current) > self._kept:
            forgotten, _ = self._current.popitem(last=False)
            # Not "" again, nor what was said of the forgotten before: see the module's docstring.
            self._of_the_forgotten[_share(forgotten)] = stamped(self._token(), now)
        return generation


def _share(customer: CustomerId) -> int:
    return hash(customer) % SHARES
