"""The store in Redis, for any number of processes and machines.

Trio's side of it. Every operation is one exchange of scripts and commands on the asyncio loop of
this process (`open_island` must have been entered), crossed into with `aio_as_trio` only, and ends
in ANSWER_WITHIN: with an answer, or with StoreUnavailableError. What one process records the others
hear of by announcement, and so does the one that recorded it: one way, one order.

    redis            this module: the contract
    redis_questions  what is asked about logs, and what the answers mean; redis_things: about the
                     rest; redis_codec: how things are spelled; redis_refusals: whose fault a no is
    redis_scripts    what Redis runs: numbering, record, since, position, renew, place (.lua)
    redis_heads      the memory that a Redis which lost its own is held against
    redis_routes     which server is asked, and what becomes of the others when one is gone;
                     redis_map: who has what; redis_server: question and answer with one
    redis_follower   announcements; redis_survey: whether what is there is durable
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import trio
from trio_asyncio import aio_as_trio

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.store.contract import Entry, Listener, Recording, Refused, Slice
from storefront.store.redis_codec import UnreadableError
from storefront.store.redis_counts import Counts
from storefront.store.redis_follower import Follower
from storefront.store.redis_heads import Heads
from storefront.store.redis_lookups import cancellable_lookups
from storefront.store.redis_questions import LogQuestions, Question
from storefront.store.redis_refusals import kind_of
from storefront.store.redis_routes import Routes
from storefront.store.redis_scripts import PREFIX, Command, Scripts
from storefront.store.redis_server import Reply
from storefront.store.redis_survey import Survey
from storefront.store.redis_things import ThingQuestions
from storefront.store.tickets import new_ticket
from storefront.telemetry.metrics import Reading

T = TypeVar("T")

# Seconds for one exchange, from asking for a connection to the last reply. 200 records take about
# 20 ms; a disk that cannot write them down in this time cannot keep up anyway.
ANSWER_WITHIN = 0.5
# One exchange costs about 0.7 ms of this process's one thread, so more at once would only wait
# elsewhere. At the bound one waits here, in its turn, and within ANSWER_WITHIN.
EXCHANGES = 16
# Things asked for in one exchange: more cost as much each (hazards H22d) and delay the others.
BATCH = 256
CLOSED_WITHIN = 1.0


class RedisStore:
    """See `contract.Store`. Opened by `open_redis_store`.

    An order's owner has a key slot of its own; a customer's log, ids, facts and numbering share
    one, and each script is about one customer: so it runs on a cluster as on one server.
    """

    def __init__(self, routes: Routes, counts: Counts, *, window: float, kept_ids: int) -> None:
        self.durable = False
        self._routes = routes
        self._counts = counts
        # Announcements know no databases, so the number is in the name.
        self._channel = f"{PREFIX}:{routes.database}:events"
        scripts = Scripts(window=window, kept_ids=kept_ids)
        self._questions = LogQuestions(scripts, Heads(), counts, self._channel)
        self._things = ThingQuestions(scripts)
        self._survey = Survey(routes, within=ANSWER_WITHIN)
        self._room = trio.CapacityLimiter(EXCHANGES)

    def statistics(self) -> Counts:
        """What was counted since the store was opened."""
        return replace(self._counts, refusals=Counter(self._counts.refusals))

    def readings(self) -> Iterable[Reading]:
        return self._counts.readings()

    async def survey(self) -> bool:
        """Find out whether Redis is durable, and remember it; one that is away is not."""
        self.durable = await self._survey.look()
        return self.durable

    async def record(
        self, batch: Sequence[Recording], *, now: float
    ) -> Sequence[Entry | Refused | None]:
        answers: list[Entry | Refused | None] = []
        # Whoever was refused must not be taken with a later part of the batch.
        stopped: dict[CustomerId, Refused] = {}
        for start in range(0, len(batch), BATCH):
            part = batch[start : start + BATCH]
            asked = [each for each in part if each.customer not in stopped]
            found = iter(await self._ask(self._questions.record(asked, now)) if asked else ())
            for each in part:
                answer = stopped.get(each.customer) or next(found)
                if isinstance(answer, Refused):
                    stopped[each.customer] = answer
                answers.append(answer)
        return answers

    async def since(
        self, customer: CustomerId, cursor: Position, *, now: float, limit: int, max_bytes: int
    ) -> Slice:
        return await self._ask(
            self._questions.since(customer, cursor, now=now, limit=limit, max_bytes=max_bytes)
        )

    async def position(self, customer: CustomerId, *, now: float) -> Position:
        (found,) = (await self._ask(self._questions.positions([customer], now))).values()
        return self._taken(found)

    async def heads(
        self, customers: Collection[CustomerId], *, now: float
    ) -> Mapping[CustomerId, Position | Refused]:
        asked = list(dict.fromkeys(customers))
        heads: dict[CustomerId, Position | Refused] = {}
        for start in range(0, len(asked), BATCH):
            found = await self._ask(self._questions.heads(asked[start : start + BATCH], now))
            heads |= found.heads
            if found.to_ask:
                heads |= await self._ask(self._questions.positions(found.to_ask, now))
        return heads

    async def place(
        self, owners: Sequence[tuple[OrderId, CustomerId]], *, now: float
    ) -> Sequence[Refused | None]:
        answers: list[Refused | None] = []
        for start in range(0, len(owners), BATCH):
            answers += await self._ask(self._things.place(owners[start : start + BATCH], now))
        return answers

    async def owner(self, order: OrderId, *, now: float) -> CustomerId | Refused | None:
        return await self._ask(self._things.owner(order, now))

    async def facts(self, customer: CustomerId, *, now: float) -> Sequence[Fact]:
        return await self._ask(self._things.facts(customer, now))

    async def generation(self, customer: CustomerId) -> str:
        return await self._ask(self._things.generation(customer))

    async def renew_generation(self, customer: CustomerId, *, now: float) -> str:
        return await self._ask(self._things.renew_generation(customer, now))

    async def issue_ticket(self, content: bytes, *, until: float, now: float) -> bytes:
        ticket = new_ticket()
        await self._ask(self._things.keep_ticket(ticket, content, until=until, now=now))
        return ticket

    async def spend_ticket(self, ticket: bytes, *, now: float) -> bytes | None:
        return self._taken(await self._ask(self._things.spend_ticket(ticket, now)))

    async def follow(
        self,
        hear: Listener,
        lost: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        def heard(entries: Sequence[Entry]) -> None:
            for entry in entries:
                self._questions.seen(entry.customer, entry.position)
            hear(entries)

        follower = Follower(
            self._routes, self._channel, self._counts, hear=heard, lost=lost, survey=self.survey
        )
        await follower.run(task_status=task_status)

    async def _ask(self, question: Question[T]) -> T:
        """Ask in one exchange.

        A caller that is cancelled, or out of time, takes its connection with it: what was asked may
        have been done all the same.

        Raises:
            StoreUnavailableError: nothing is known to have been done.
        """
        try:
            replies = await self._exchange(question.commands)
            return question.read(replies)
        except StoreUnavailableError as exc:
            self._fail(kind_of(exc.__cause__) if exc.__cause__ else "timeout")
            raise
        except (ValueError, UnreadableError) as exc:
            self._fail("unreadable")
            raise StoreUnavailableError(f"Redis holds what we did not write: {exc}") from exc

    def _taken(self, answer: T | Refused) -> T:
        """The answer to a question about one customer only.

        Raises:
            StoreUnavailableError: it was refused.
        """
        if isinstance(answer, Refused):
            self._counts.failures += 1
            raise StoreUnavailableError(answer.detail)
        return answer

    def _fail(self, kind: str) -> None:
        self._counts.failures += 1
        self._counts.refusals[kind] += 1

    async def _exchange(self, commands: Sequence[Command]) -> Sequence[Reply]:
        with trio.move_on_after(ANSWER_WITHIN) as scope:
            async with self._room:
                # Both shores have one clock: the loop's is Trio's.
                ask = aio_as_trio(self._routes.ask_aio)
                replies: Sequence[Reply] = await ask(commands, scope.deadline)
                return replies
        self._counts.timeouts += 1
        raise StoreUnavailableError(f"Redis did not answer within {ANSWER_WITHIN:g} s")


@asynccontextmanager
async def open_redis_store(url: str, *, window: float, kept_ids: int) -> AsyncIterator[RedisStore]:
    """The store in the Redis, or the Redis Cluster, at this URL, whether it is there now or not.

    Args:
        url: as redis-py has it: redis://, rediss:// or unix://; of a cluster, any of its servers.
        window: how long an event can be read, in seconds.
        kept_ids: how many of a customer's newest message ids are known however old they are.

    Raises:
        SettingsError: it is no such URL.
    """
    counts = Counts()
    routes = Routes(url, counts)
    store = RedisStore(routes, counts, window=window, kept_ids=kept_ids)
    with cancellable_lookups():
        try:
            await store.survey()
            yield store
        finally:
            with trio.move_on_after(CLOSED_WITHIN, shield=True):
                await aio_as_trio(routes.close_aio)()
