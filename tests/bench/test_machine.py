import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from explainer.bench import machine
from explainer.bench.machine import describe, field_of, memory
from explainer.fcn.room import give_back

STATUS = "Name:\tpython\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\nThreads:\t7\n"
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


def test_fields_of_a_status_file(tmp_path):
    file = tmp_path / "status"
    file.write_text(STATUS)
    assert memory("VmRSS", file) == 100
    assert memory("VmHWM", file, 2**30) == pytest.approx(200 / 1024)
    assert field_of(file, "Threads") == 7
    assert field_of(file, "VmSwap") is None
    assert memory("VmRSS", tmp_path / "missing") is None


@linux
def test_memory_that_is_taken_is_seen_and_so_is_its_peak():
    give_back()
    machine.forget_peak()
    before = machine.resident()
    assert before is not None
    taken = bytearray(os.urandom(1)) * (200 * machine.MEGABYTE)
    held = machine.resident()
    assert held is not None
    assert held - before == pytest.approx(200, abs=40)
    del taken
    give_back()
    after, peak = machine.resident(), machine.peak()
    assert after is not None
    assert after - before < 100
    assert peak is not None
    assert peak == pytest.approx(held, abs=40)


@linux
def test_threads_and_files_of_a_process():
    before = machine.open_files(os.getpid())
    with open(os.devnull):
        assert machine.open_files() == (before or 0) + 1
    threads = machine.threads(os.getpid())
    assert threads is not None
    assert threads >= 1
    assert machine.open_files(2**30) is None
    assert machine.threads(2**30) is None


def test_the_description_has_what_a_figure_needs():
    found = describe("cpu")
    fields = json.loads(json.dumps(asdict(found)))
    assert {"date", "cpu", "flags", "cores", "dtype", "torch", "device", "load"} <= set(fields)
    assert found.dtype in ("float32", "bfloat16")
    assert found.cores >= 1
    assert found.date[:10] in found.line()
    assert "cpu" in found.line()
