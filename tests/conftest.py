"""What holds for every test: which servers it ran against, what a skip means, how properties are tried.

A system test is one that lies under tests/system; nobody needs to mark it. The versions of the real servers stand in
the header of a run and, with the number of system tests, above its closing line, so that a green run says against
what it was green. On a build server (CI is set) a test that was skipped proved nothing, and fails.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

SYSTEM_TESTS = Path(__file__).parent / "system"
SERVERS = {
    "RabbitMQ": "rabbitmq-server",
    "Redis": "redis-server",
    "nginx": "nginx",
    "Chromium": "chromium",
}
# System tests that mostly wait, whatever else the machine does: they go with the others, see `Halves`.
PATIENT = ("test_broker_faults.py", "test_browser_returns.py", "test_store_faults.py")
UNDER_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# No deadline anywhere: on a busy machine it would measure the neighbours. A build server tries the same examples
# every time, so that a red run is red again; a developer's machine looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("developer", deadline=None, print_blob=True)
settings.load_profile("ci" if UNDER_CI else "developer")


@cache
def server_versions() -> str:
    """The installed servers as "RabbitMQ 3.10.8, Redis 7.0.15, ..." from Debian's books.

    Not from the programs themselves: `rabbitmq-server --version` would boot a broker.
    """
    return ", ".join(f"{name} {installed_version(package)}" for name, package in SERVERS.items())


def installed_version(package: str) -> str:
    """The upstream part of a Debian version ("5:7.0.15-1~deb12u10" is "7.0.15"), or "not found"."""
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return "not found"
    return found.stdout.rpartition(":")[2].partition("-")[0] or "not found"


def pytest_report_header() -> str:
    return f"servers: {server_versions()}"


@pytest.hookimpl(tryfirst=True)  # before "-m" chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SYSTEM_TESTS in item.path.parents:
            item.add_marker("system")


class Halves(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """The tests in two halves of about the same length, for two processes (`-n 2`).

    Those that measure time are all in one half: none of them ever runs beside another, only beside tests to which
    nothing matters but their outcome.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return (
            "system" if file.startswith("tests/system/") and not file.endswith(PATIENT) else "rest"
        )


@pytest.hookimpl(optionalhook=True)  # xdist's own hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return Halves(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if isinstance(report, pytest.TestReport)
        and report.when == "call"
        and "system" in report.keywords
    ]
    if ran:
        terminalreporter.write_line(f"system tests run: {len(ran)}, against {server_versions()}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped(report)
    return report


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip on a build server into a failure that says so; anything else stays as it is."""
    if UNDER_CI and report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"A skipped test is a failed one on a build server. {reason}"
