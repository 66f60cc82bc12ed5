"""The bench runs: its smallest path from a publisher over RabbitMQ and a service to a crowd, and to its report."""

import json
import subprocess
import sys
from pathlib import Path

import trio

REPOSITORY = Path(__file__).parents[2]
STREAMS = 20


async def test_a_small_broadcast_is_measured_and_nothing_of_it_is_lost(vhost, tmp_path):
    command = [
        "--quick",
        "--scenario",
        "broadcast",
        "--streams",
        str(STREAMS),
        "--results",
        str(tmp_path),
    ]
    run = await trio.run_process(
        [sys.executable, "-m", "bench", *command],
        cwd=REPOSITORY,
        env={"BENCH_BROKER": vhost.url, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert run.returncode == 0, run.stdout.decode()
    found = json.loads((tmp_path / "results.json").read_text())
    (one, *_) = found["rows"]
    assert one["latency"]["count"] == 8 * STREAMS
    assert one["figures"]["fan_out_p50_ms"] > 0
    assert [verdict["held"] for verdict in found["verdicts"]] == [True, None]
    assert b"\r" not in run.stdout
    assert (tmp_path / "broadcast.png").stat().st_size > 10_000
    assert list((tmp_path / "samples").glob("broadcast-1_event_to_20-storefront-1.npz"))
