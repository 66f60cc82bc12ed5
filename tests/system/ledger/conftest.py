"""What each run of the ledger came to stands above pytest's closing line, also where all is well."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, told in getattr(report, "user_properties", ()):
                if name == "ledger" and getattr(report, "when", "") == "call":
                    terminalreporter.write_line(f"ledger, {told}")
