"""The metrics as Prometheus reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from storefront.telemetry.metrics import Metrics
from storefront.telemetry.metrics_histogram import WAYS, Histogram, quantile


def families(metrics: Metrics) -> dict:
    text = metrics.exposition().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_a_histogram_is_read_as_one_with_its_sum_and_all_its_buckets():
    took = Histogram((0.1, 1.0))
    took.observe_all([0.05, 0.1, 0.5, 7.0, -3.0])
    metrics = Metrics()
    metrics.read_from(lambda: [("storefront_x_seconds", "How long.", {"way": "a"}, took)])
    family = families(metrics)["storefront_x_seconds"]
    assert family.type == "histogram"
    found = {(s.name, s.labels.get("le")): s.value for s in family.samples}
    assert found == {
        (
            "storefront_x_seconds_bucket",
            "0.1",
        ): 3,  # what equals a bound is below it; what two clocks made negative is 0
        ("storefront_x_seconds_bucket", "1.0"): 4,
        ("storefront_x_seconds_bucket", "+Inf"): 5,
        ("storefront_x_seconds_count", None): 5,
        ("storefront_x_seconds_sum", None): pytest.approx(7.65),
    }


def test_a_name_that_is_a_histogram_in_one_place_and_none_in_another_is_a_bug():
    metrics = Metrics()
    metrics.read_from(lambda: [("x", "", {}, Histogram()), ("x", "", {}, 1.0)])
    with pytest.raises(TypeError):
        metrics.exposition()


def test_which_process_it_was_is_told_by_opentelemetrys_name():
    about = {"service_name": "storefront", "service_instance_id": "here:7", "worker": "2"}
    (sample,) = families(Metrics(about))["target_info"].samples
    assert (sample.labels, sample.value) == (about, 1)
    assert "target_info" not in families(Metrics())


def test_deliveries_are_counted_by_what_became_of_them():
    metrics = Metrics()
    for outcome in ("recorded", "recorded", "ping"):
        metrics.settled(outcome, "Shopping.ItemAdded")
    samples = families(metrics)["storefront_deliveries"].samples
    assert {s.labels["outcome"]: s.value for s in samples if s.name.endswith("_total")} == {
        "recorded": 2,
        "ping": 1,
    }


@given(st.lists(st.floats(0, 400), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_value_it_stands_for(values, share):
    took = Histogram(WAYS)
    took.observe_all(values)
    found = quantile(share, took.bounds, took.counts)
    assert found is not None
    rank = max(1, -(-share * len(values) // 1))
    true = sorted(values)[int(rank) - 1]
    edges = (0.0, *WAYS)
    upper = next((bound for bound in WAYS if true <= bound), WAYS[-1])
    lower = edges[edges.index(upper) - 1] if true <= WAYS[-1] else WAYS[-1]
    assert lower <= found <= upper


def test_of_nothing_there_is_no_quantile():
    assert quantile(0.99, WAYS, []) is None
    assert quantile(0.99, WAYS, Histogram(WAYS).counts) is None
