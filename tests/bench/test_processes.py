"""What /proc says of a process of ours."""

import os
import subprocess
import sys
import time

from bench.measure.clock import SO_TIMESTAMPNS, real_minus_monotonic, stamp
from bench.measure.processes import Meter, family, rss_kib


def test_a_meter_reads_what_was_taken_between_its_two_looks():
    meter = Meter({"me": lambda: [os.getpid()]})
    meter.start()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    usage = meter.read()
    assert 0.1 < usage.cores["me"] * usage.seconds < 0.4
    assert usage.rss["me"] > 10_000


def test_a_family_is_the_process_and_all_below_it():
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.pid in family(os.getpid())
        child.communicate(b"")
    assert rss_kib([child.pid]) == 0


def test_the_two_clocks_are_as_far_apart_as_they_are():
    assert abs(time.monotonic_ns() + real_minus_monotonic() - time.time_ns()) < 50_000_000


def test_a_stamp_is_read_to_the_nanosecond_and_missed_where_there_is_none():
    data = (3).to_bytes(8, "little") + (7).to_bytes(8, "little")
    assert stamp([(1, SO_TIMESTAMPNS, data)]) == 3_000_000_007
    assert stamp([]) is None
