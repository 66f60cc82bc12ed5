"""What is asked of Redis about the things kept beside the logs: whose order it is, a customer's
facts and view generation, a ticket. PURE but for the tokens; see redis_questions.
"""

from __future__ import annotations

from collections.abc import Sequence

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.store import redis_codec as codec
from storefront.store.contract import FACT_LIFE, FACTS_KEPT, OWNER_LIFE, Refused, stamped
from storefront.store.redis_questions import Question, token
from storefront.store.redis_refusals import OWN
from storefront.store.redis_scripts import Command, Keys, Scripts, order_key, ticket_key
from storefront.store.redis_server import Reply
from storefront.store.tickets import digest_of

# Seconds for which Redis keeps a ticket beyond its time, which is told by the caller's clock.
_TICKET_LEEWAY = 60


class ThingQuestions:
    """All that can be asked about them."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def place(
        self, owners: Sequence[tuple[OrderId, CustomerId]], now: float
    ) -> Question[Sequence[Refused | None]]:
        """Whose orders they are, from now on."""
        commands = [
            self._scripts.place.call([order_key(order)], [repr(now), customer])
            for order, customer in owners
        ]

        def read(replies: Sequence[Reply]) -> Sequence[Refused | None]:
            return [reply if isinstance(reply, Refused) else None for reply in replies]

        return Question(commands, read)

    def owner(self, order: OrderId, now: float) -> Question[CustomerId | Refused | None]:
        """Whose order it is."""
        key = order_key(order)

        def read(replies: Sequence[Reply]) -> CustomerId | Refused | None:
            (found,) = replies
            if isinstance(found, Refused):
                return found
            placed_at, _, customer = (found or b"").partition(b" ")
            if not customer or now - float(placed_at) > OWNER_LIFE:
                return None
            return CustomerId(customer.decode())

        return Question([Command(key, ("GET", key), refusable=True)], read)

    def facts(self, customer: CustomerId, now: float) -> Question[Sequence[Fact]]:
        """The facts that have not lapsed, newest first."""
        key = Keys.of(customer).facts

        def read(replies: Sequence[Reply]) -> Sequence[Fact]:
            (found,) = replies
            facts = map(codec.read_fact, found[::2], found[1::2])
            kept = [fact for recorded_at, fact in facts if now - recorded_at <= FACT_LIFE]
            return sorted(kept, key=lambda fact: fact.occurred_at, reverse=True)[:FACTS_KEPT]

        return Question([Command(key, ("HGETALL", key))], read)

    def generation(self, customer: CustomerId) -> Question[str]:
        """The view generation, "" for none."""
        key = Keys.of(customer).numbering
        command = Command(key, ("HGET", key, "generation"))
        return Question([command], lambda replies: (replies[0] or b"").decode())

    def renew_generation(self, customer: CustomerId, now: float) -> Question[str]:
        """Another view generation."""
        generation = stamped(token(), now)
        command = self._scripts.renew.call([Keys.of(customer).numbering], [generation])
        return Question([command], lambda _: generation)

    def keep_ticket(
        self, ticket: bytes, content: bytes, *, until: float, now: float
    ) -> Question[None]:
        """What is kept for a ticket: "<seconds since 1970> <content>"."""
        key = ticket_key(digest_of(ticket))
        life = max(0, round((until - now + _TICKET_LEEWAY) * 1000))
        kept = f"{until!r} ".encode() + content
        return Question([Command(key, ("SET", key, kept, "PX", life))], lambda _: None)

    def spend_ticket(self, ticket: bytes, now: float) -> Question[bytes | Refused | None]:
        """It, to one asker. Where the answer is lost on its way the ticket is spent all the same:
        rather nobody than two.
        """
        key = ticket_key(digest_of(ticket))

        def read(replies: Sequence[Reply]) -> bytes | Refused | None:
            (found,) = replies
            if isinstance(found, Refused) and found.kind not in OWN:
                return found
            if found is None or isinstance(found, Refused):
                # What stands there is not ours, and no ticket.
                return None
            until, _, content = found.partition(b" ")
            return bytes(content) if now < float(until) else None

        return Question([Command(key, ("GETDEL", key), refusable=True)], read)
