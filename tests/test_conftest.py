"""What a build server makes of a skipped test: tests/conftest.py, tried on small runs of pytest's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
SAMPLES = {
    "test_skipped.py": "import pytest\ndef test_it():\n    pytest.skip('no such server')\n",
    "test_module.py": "import pytest\npytest.skip('not here', allow_module_level=True)\n",
    "test_expected.py": "import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert False\n",
    "system/test_real.py": "def test_it():\n    pass\n",
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    (folder / "system").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    system: real servers\n")
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    for name, source in SAMPLES.items():
        (folder / name).write_text(source)
    return folder


def run_pytest(folder: Path, *options: str, ci: str):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "CI": ci}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_skip_turns_a_build_servers_run_red_and_says_why(samples):
    run = run_pytest(samples, "--continue-on-collection-errors", ci="true")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    # The skipped test fails, the skipped module is an error, and an expected failure is not a skip.
    assert "= 1 failed, 1 passed, 1 xfailed, 1 error in " in run.stdout
    for reason in ("Skipped: no such server", "Skipped: not here"):
        assert f"A skipped test is a failed one on a build server. {reason}" in run.stdout


def test_a_skip_elsewhere_stays_a_skip_and_the_run_says_what_it_met(samples):
    run = run_pytest(samples, ci="")
    assert run.returncode == pytest.ExitCode.OK
    *_, servers, closing = run.stdout.strip().splitlines()
    assert servers.startswith("system tests run: 1, against RabbitMQ ")
    assert "= 1 passed, 2 skipped, 1 xfailed in " in closing


def test_what_lies_under_system_is_left_out_of_a_run_without_servers(samples):
    run = run_pytest(samples, "-m", "not system", ci="")
    assert "2 skipped, 1 deselected, 1 xfailed" in run.stdout
