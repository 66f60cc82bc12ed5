"""Several processes as one: what is summed, what is the worst of them, and what happened since."""

from __future__ import annotations

import pytest

from storefront.dashboard import merging, reports
from storefront.dashboard.pictures import PUBLISH, picture, point
from storefront.dashboard.reports import SHOWN, Process, Report
from storefront.telemetry.metrics_histogram import WAYS, Histogram


def said(name: str, at: float = 10.0, counts: dict | None = None, **values: float) -> Report:
    told = {f"storefront_{key.replace('__', '|')}": value for key, value in values.items()}
    process = Process(name=name, worker=1, version="1", started_at=0.0)
    return Report(process=process, at=at, values=told, counts=counts or {})


def written(*seconds: float) -> dict[str, list[int]]:
    took = Histogram(WAYS)
    took.observe_all(seconds)
    return {PUBLISH: took.counts}


def test_streams_are_summed_the_worst_lag_stands_and_one_log_that_is_not_durable_is_told():
    both = merging.together(
        [
            said(
                "a",
                streams_by_state__live=3,
                loop_lag_seconds=0.1,
                store_durable=1,
                queue_ready__q=5,
            ),
            said(
                "b",
                streams_by_state__live=4,
                loop_lag_seconds=0.4,
                store_durable=0,
                queue_ready__q=5,
            ),
        ]
    )
    assert both.values == {
        "storefront_streams_by_state|live": 7,
        "storefront_loop_lag_seconds": 0.4,
        "storefront_store_durable": 0,
        "storefront_queue_ready|q": 5,  # both see the same queue
    }


def test_rates_are_found_process_by_process_so_one_that_comes_or_goes_is_no_event():
    before = {
        "a": said("a", 10.0, events_written_total=100),
        "gone": said("gone", 10.0, events_written_total=900),
    }
    now = [said("a", 12.0, events_written_total=150), said("new", 12.0, events_written_total=5000)]
    assert merging.since(before, now).values == {"storefront_events_written_total": 25.0}


def test_a_counter_that_began_anew_is_no_negative_rate_and_an_old_report_is_nothing_new():
    before = {
        "a": said("a", 10.0, events_written_total=100),
        "b": said("b", 10.0, events_written_total=7),
    }
    now = [said("a", 11.0, events_written_total=3), said("b", 10.0, events_written_total=7)]
    assert merging.since(before, now).values == {"storefront_events_written_total": 0.0}


def test_percentiles_are_of_what_all_processes_wrote_since_the_last_look():
    before = {name: said(name, 10.0, written(*[200.0] * 50)) for name in "ab"}
    now = [
        said("a", 11.0, written(*[200.0] * 50, *[0.004] * 98)),
        said("b", 11.0, written(*[200.0] * 50, 4.0, 4.0)),
    ]
    lately = merging.since(before, now)
    found = point(11.0, merging.together(now), lately)
    assert found.p50 is not None
    assert 0.0025 <= found.p50 <= 0.005
    assert found.p99 is not None
    assert 2.5 <= found.p99 <= 5.0, "the slow ones are another process's"
    assert (
        point(
            12.0,
            merging.together(now),
            merging.since({each.process.name: each for each in now}, now),
        ).p50
        is None
    )


def test_another_versions_buckets_are_not_added_to_ours():
    both = merging.together([said("a", counts={PUBLISH: [1, 2]}), said("b", counts=written(1.0))])
    assert len(both.counts[PUBLISH]) == len(WAYS) + 1


def test_what_is_no_report_is_left_out():
    assert reports.read(b"") is None
    assert reports.read(b'{"at":1}') is None
    told = said("a", streams_by_state__live=3)
    assert reports.read(reports.written(told)) == told


def test_the_picture_says_it_in_the_pages_words():
    one = said(
        "a",
        queue_consuming__q=1, queue_in_hand__q=2, queue_oldest_seconds__q=3.5,
        breaker_state__catalog__open=1, breaker_state__catalog__closed=0, downstream_opened_total__catalog=4,
        views_total__cart__cached=6, views_total__cart__live=3, **{"views_total__cart__expired-partial": 1},
        streams_opened_total__reset=2, streams_reset_total=1,
        **{"deliveries_total__dead-letter__unplaceable": 2, "deliveries_total__recorded__x": 9},
    )  # fmt: skip
    now = merging.together([one])
    shown = picture(point(10.0, now, now), now, {}, [one], alone=False)
    (queue,), (breaker,), (cart,), (process,) = (
        shown.queues,
        shown.breakers,
        shown.cache,
        shown.processes,
    )
    assert (queue.consumers, queue.in_hand, queue.oldest, queue.ready) == (1, 2, 3.5, None)
    assert (breaker.open, breaker.closed, breaker.opened) == (1, 0, 4)
    assert (cart.asked, cart.hits, cart.old) == (10, 6, 1)
    assert (shown.resets, shown.dead_letters, shown.dead_letters_ready) == (3, 2, None)
    assert process.consumes == ["q"]
    assert shown.store_durable


@pytest.mark.parametrize("how", SHOWN.values())
def test_every_metric_that_is_shown_says_how_it_is_put_together(how):
    assert how in {"sum", "max", "min"}
