"""What Grafana and Prometheus are asked to look at exists; and what the page brings from elsewhere is what it was."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for one call

from tests.test_readme import FAMILIES, table

ROOT = Path(__file__).parent.parent
VENDOR = ROOT / "storefront/ui/vendor"

# A metric in an expression of Prometheus's: a name before a selector, a range, a comparison or a closing parenthesis.
NAME = re.compile(r"\b((?:storefront|http_server|messaging|db_client)_[a-z_]+)\b(?!\s*=)")
# What a histogram is read by.
SERIES = re.compile(r"_(bucket|count|sum)$")


def documented() -> set[str]:
    """Every metric; that these are the code's is another test's."""
    names = {name for name, _ in table("Metrics", "Name")}
    for family, counted in FAMILIES.items():
        names |= {family.replace("…", name) for name in counted}
    return names


def labels_of(name: str) -> str:
    return dict(table("Metrics", "Name"))[name]


def expressions() -> list[str]:
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text("utf-8"))
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return found + [rule["expr"] for rule in rules()]


def rules() -> list[dict]:
    groups = yaml.safe_load((ROOT / "deploy/alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_metric_that_is_looked_at_exists(expression):
    known = documented()
    # Labels are named in braces and after `by`.
    bare = re.sub(r"\{[^}]*\}|\bby\s*\([^)]*\)", "", expression)
    names = NAME.findall(bare)
    assert names
    for name in names:
        assert name in known or SERIES.sub("", name) in known, name
        if name.endswith("_bucket"):
            assert "Histogram" in labels_of(SERIES.sub("", name))


def test_a_rule_says_what_is_wrong_for_how_long_and_what_to_do():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) >= 7
    for rule in rules():
        assert re.fullmatch(r"\d+m", rule["for"])
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert len(rule["annotations"]["description"].split()) >= 5


def test_the_panels_lie_beside_and_below_each_other_and_each_has_a_name():
    panels = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text("utf-8"))["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len({panel["title"] for panel in panels}) == len(panels)


def test_the_library_of_the_charts_is_the_one_that_was_taken():
    told = (VENDOR / "uPlot.txt").read_text("utf-8")
    version = re.match(r"uPlot (\d+\.\d+\.\d+)", told)
    assert version is not None
    hashes = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", told, re.MULTILINE))
    files = {path.name for path in VENDOR.iterdir()} - {"uPlot.txt"}
    assert files == set(hashes.values())
    for digest, name in hashes.items():
        content = (VENDOR / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    assert f"(v{version[1]})" in (VENDOR / "uPlot.iife.min.js").read_text("utf-8")[:400]
    assert "MIT" in (VENDOR / "uPlot.LICENSE").read_text("utf-8")
