"""A Redis Cluster: slots that move, nodes that go, and keys that all lie where their script runs."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from redis.crc import key_slot

from storefront.domain.facts import Fact
from storefront.store.redis_scripts import Keys
from tests.store.kit import ALICE, NOW, ORDER, event, events, payloads, put, read, start_of
from tests.store.redis.kit import eventually, open_store, recovered
from tests.store.test_contract_followers import Ear
from tests.system.servers.redis import RedisCluster

pytestmark = pytest.mark.system

SLOT = key_slot(Keys.of(ALICE).log.encode())
SHARE = 16384 // 3 + 1
CUSTOMERS = [f"c{n:035}" for n in range(100)]
ELSEWHERE = next(who for who in CUSTOMERS if key_slot(Keys.of(who).log.encode()) != SLOT)


def node_of(cluster, customer):
    """Who has a customer's keys, as long as nothing moves."""
    return cluster.nodes[key_slot(Keys.of(customer).log.encode()) // SHARE]


class Move:
    """ALICE's slot on its way from the node that has it to another."""

    def __init__(self, cluster):
        self.nodes = cluster.nodes
        self.ids = [node.command("CLUSTER", "MYID").decode() for node in self.nodes]
        self.source = SLOT // SHARE
        self.target = (self.source + 1) % 3

    def begin(self):
        self.tell(self.target, "IMPORTING", self.source)
        self.tell(self.source, "MIGRATING", self.target)

    def move(self, *keys):
        self.nodes[self.source].command(
            "MIGRATE", "127.0.0.1", self.nodes[self.target].port, "", 0, 5000, "KEYS", *keys
        )

    def end(self):
        for number in (self.target, self.source, 3 - self.source - self.target):
            self.tell(number, "NODE", self.target)
        self.source, self.target = self.target, self.source

    def tell(self, node, what, other):
        self.nodes[node].command("CLUSTER", "SETSLOT", SLOT, what, self.ids[other])

    def keys(self):
        return self.nodes[self.source].command("CLUSTER", "GETKEYSINSLOT", SLOT, 100)


@pytest.fixture
def own_cluster(tmp_path):
    with RedisCluster(tmp_path) as cluster:
        trio.run(cluster.start)
        yield cluster


@pytest.mark.parametrize("asked", [0, 1, 2], ids="from node {}".format)
async def test_any_node_leads_to_the_whole_cluster(cluster, asked):
    async with open_store(cluster.nodes[asked].url) as store:
        customers = [f"c{n:035}" for n in range(300)]
        answers = await put(store, *(event(n, who) for n, who in enumerate(customers)))
        assert [answer.position.seq for answer in answers] == [1] * 300
        assert store.statistics().redirections == 0
        assert store.durable
    sizes = [node.command("DBSIZE") for node in cluster.nodes]
    assert sum(sizes) == 900
    assert min(sizes) > 200


async def test_a_slot_that_moves_is_followed_and_nothing_is_lost_or_doubled(cluster):
    move = Move(cluster)
    fact = Fact(kind="order", id=ORDER, state="Placed", occurred_at=1.0)
    async with open_store(cluster.url) as store:
        start = await store.position(ALICE, now=NOW)
        await put(store, event("whole", fact=fact))
        move.begin()
        # All keys are still here.
        await put(store, event("begun"))
        # Some are here and some are there: no script can run until that is over.
        move.move(Keys.of(ALICE).log)
        refused, other = await put(store, event("torn"), event("b", ELSEWHERE))
        assert refused.kind == "cluster"
        assert other.payload == b"b", "whose slot is whole"
        move.move(*move.keys())
        await put(store, event("torn"), event("asked"))
        assert store.statistics().redirections > 0
        move.end()
        await put(store, event("moved"))
        redirections = store.statistics().redirections
        await put(store, event("known"))
        assert store.statistics().redirections == redirections
        found = await read(store, start)
        assert payloads(found) == ["whole", "begun", "torn", "asked", "moved", "known"]
        assert list(await store.facts(ALICE, now=NOW)) == [fact]
        assert store.statistics().renumbered == 0
    # And back, for those who come after.
    move.begin()
    move.move(*move.keys())
    move.end()


async def test_announcements_come_from_every_node_whichever_is_listened_to(cluster, nursery):
    customers = [f"c{n:035}" for n in range(30)]
    async with open_store(cluster.url) as store, trio.open_nursery() as followers:
        ears = [Ear() for _ in cluster.nodes]
        for ear in ears:
            await ear.listen(store, followers)
        await put(store, *(event(n, who) for n, who in enumerate(customers)))
        for ear in ears:
            await eventually(lambda ear=ear: len(ear.heard) == 30)
            assert sorted(entry.customer for entry in ear.heard) == customers
        followers.cancel_scope.cancel()


async def test_a_node_that_is_gone_stops_its_customers_until_it_is_back(own_cluster):
    move = Move(own_cluster)
    node = own_cluster.nodes[move.source]
    other = next(who for who in CUSTOMERS if node_of(own_cluster, who) is not node)
    async with open_store(own_cluster.url) as store:
        await put(store, *events([1, 2]))
        node.kill()
        refused, there = await put(store, event(3), event("b", other))
        assert (refused.kind, there.payload) == ("unreachable", b"b")
        await node.start()
        await recovered(partial(put, store, event(3)), within=15)
        start = start_of(await store.position(ALICE, now=NOW))
        assert payloads(await read(store, start)) == ["1", "2", "3"]


async def test_a_follower_goes_to_another_node_when_its_own_is_gone(own_cluster):
    async with open_store(own_cluster.url) as store, trio.open_nursery() as followers:
        ear = Ear()
        await ear.listen(store, followers)
        (followed,) = [
            node
            for node in own_cluster.nodes
            if node.command("PUBSUB", "NUMSUB", "storefront:0:events")[1]
        ]
        followed.kill()
        await eventually(lambda: ear.losses == 1)
        left = next(node for node in own_cluster.nodes if node.running)
        there = next(who for who in CUSTOMERS if node_of(own_cluster, who) is left)
        await recovered(partial(put, store, event(1, there)))
        await eventually(lambda: ear.heard)
        followers.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["kill", "freeze"])
@pytest.mark.parametrize("asked", [0, 1], ids=["by its own address", "by another's address"])
async def test_a_node_that_is_gone_is_not_asked_for_what_another_has_taken_over(
    own_cluster, how, asked
):
    move = Move(own_cluster)
    gone = own_cluster.nodes[move.source]
    async with open_store(own_cluster.nodes[(move.source + asked) % 3].url) as store:
        async with trio.open_nursery() as nursery:
            for number in range(8):  # connections that will not be answered any more
                nursery.start_soon(put, store, event(number))
        getattr(gone, how)()
        for number in {0, 1, 2} - {move.source}:
            move.tell(number, "NODE", move.target)
        (refused,) = await put(store, event("there"))
        assert refused.kind in {"unreachable", "timeout"}
        await recovered(partial(put, store, event("there")), within=3)
        start = start_of(await store.position(ALICE, now=NOW))
        assert payloads(await read(store, start)) == ["there"]
