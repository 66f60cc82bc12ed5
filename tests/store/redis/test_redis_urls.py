"""The ways to a Redis that a URL can name."""

from __future__ import annotations

from urllib.parse import quote

import pytest
import trio
import trustme

from storefront.errors import SettingsError, StoreUnavailableError
from tests.store.kit import ALICE, NOW, event, put
from tests.store.redis.kit import eventually, open_store
from tests.store.test_contract_followers import Ear
from tests.system.servers.ports import free_port
from tests.system.servers.redis import RedisServer

pytestmark = pytest.mark.system


async def works(url):
    """Whether an event is recorded, heard and read."""
    async with open_store(url) as store, trio.open_nursery() as followers:
        ear = Ear()
        await ear.listen(store, followers)
        (answer,) = await put(store, event(1))
        await eventually(lambda: ear.heard)
        assert ear.heard == [answer]
        assert ear.losses == 0
        assert await store.position(ALICE, now=NOW) == answer.position
        followers.cancel_scope.cancel()


async def test_tls(tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    port = free_port()
    tls = {"tls_cert_file": cert, "tls_key_file": key, "tls_ca_cert_file": ca}
    settings = {name: str(path) for name, path in tls.items()}
    with RedisServer(tmp_path, tls_port=str(port), tls_auth_clients="no", **settings) as server:
        await server.start()
        url = f"rediss://127.0.0.1:{port}/0"
        await works(f"{url}?ssl_ca_certs={quote(str(ca))}")
        async with open_store(url) as store:  # signed by nobody this machine knows
            with pytest.raises(StoreUnavailableError):
                await put(store, event(2))


async def test_a_unix_socket(tmp_path):
    path = tmp_path / "redis.sock"
    with RedisServer(tmp_path, unixsocket=str(path)) as server:
        await server.start()
        await works(f"unix://{path}?db=2")


async def test_a_user_and_a_password(server):
    server.command("ACL", "SETUSER", "shop", "on", ">p@ss:w/rd", "~storefront:*", "&storefront:*")
    server.command("ACL", "SETUSER", "shop", "+@all", "-@admin", "-@dangerous", "+config|get")
    await works(server.url.replace("//", f"//shop:{quote('p@ss:w/rd', safe='')}@"))
    async with open_store(server.url.replace("//", "//shop:wrong@")) as store:
        with pytest.raises(StoreUnavailableError):
            await put(store, event(2))


async def test_a_url_that_is_none_stops_the_start():
    with pytest.RaisesGroup(SettingsError, flatten_subgroups=True):
        async with open_store("redis://localhost/0?no_such_option=1"):
            pass
