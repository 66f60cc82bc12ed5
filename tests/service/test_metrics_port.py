"""/metrics at an address of their own: a real socket on loopback, of which nobody but Prometheus knows."""

from __future__ import annotations

from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from storefront.errors import ListenError
from storefront.service import _serve_metrics
from storefront.telemetry.metrics import Metrics

ABOUT = {"service_name": "storefront", "worker": "3"}


async def ask(url: str, method: str = "GET") -> tuple[int, str]:
    def asked() -> tuple[int, str]:
        try:
            with urlopen(Request(url, method=method)) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    with trio.fail_after(10):
        return await trio.to_thread.run_sync(asked)


async def test_metrics_are_answered_there_and_nothing_else_is(nursery):
    (url,) = await nursery.start(_serve_metrics, Metrics(ABOUT), "127.0.0.1:0")
    status, text = await ask(f"{url}/metrics")
    (family,) = text_string_to_metric_families(text)
    assert (status, family.name, family.samples[0].labels) == (200, "target_info", ABOUT)
    assert await ask(f"{url}/metrics", "HEAD") == (200, "")
    assert (await ask(f"{url}/metrics", "POST"))[0] == 405
    for path in ("/", "/admin", "/health/ready", "/metrics/x"):
        assert await ask(url + path) == (404, "")
    nursery.cancel_scope.cancel()


async def test_an_address_that_is_taken_is_told_by_the_name_of_its_own_setting(nursery):
    (url,) = await nursery.start(_serve_metrics, Metrics(ABOUT), "127.0.0.1:0")
    with pytest.raises(ListenError, match=r"^STOREFRONT_METRICS_BIND: cannot listen at"):
        await _serve_metrics(Metrics(ABOUT), url.removeprefix("http://"))
    nursery.cancel_scope.cancel()
