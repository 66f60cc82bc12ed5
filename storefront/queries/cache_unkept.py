"""Views for staff, who ask for a thing and not for a customer: nothing is kept, for whose cache it
would be is known only from the answer. Then its owner's generation tells whether an event came
since the reading began, and the answer says so, in the words of cache.py.
"""

from __future__ import annotations

import trio

from storefront.domain.ids import CustomerId
from storefront.queries.cache_entries import Place
from storefront.queries.cache_kept import Compose, KeptViews
from storefront.queries.rendering import Freshness, Served


class Unkept:
    """See `views.Keeper`.

    Args:
        kept: where the owners' generations are known. Nothing is looked for there, nor kept.
        view_deadline: seconds.
    """

    def __init__(self, kept: KeptViews, view_deadline: float) -> None:
        self._kept = kept
        self._deadline = view_deadline

    async def view(self, _customer: CustomerId | None, key: str, compose: Compose) -> Served:
        """The view, composed now.

        Raises:
            DownstreamError: from `compose`.
        """
        until = trio.current_time() + self._deadline
        rendered = await compose(until)
        stands: bool | None = None
        if rendered.found and rendered.owner is not None:
            place = Place(rendered.owner, key)
            stands = await self._kept.stands(place, None, rendered.as_of, until=until)
        freshness: Freshness = "live" if stands else "expired"
        return Served(rendered=rendered, freshness=freshness, forwarded="bypass")
