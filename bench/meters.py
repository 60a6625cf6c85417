"""CPU and memory of another process, read from the kernel."""

from __future__ import annotations

import time
from pathlib import Path

_SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED of the kernel's clock ids
_KIB = 1024


def cpu_seconds(pid: int) -> float:
    """Return what a process has used so far, user and system, all threads, the ended ones too.

    Its CPU-time clock (clock_getcpuclockid(3)) counts nanoseconds where /proc/PID/stat counts hundredths of a second.
    """
    return time.clock_gettime((~pid << 3) | _SCHEDULER_CLOCK)


def settled_cpu_seconds(pid: int, patience: float = 5.0) -> float:
    """Return the same once the process has nothing left to do."""
    end = time.monotonic() + patience
    before = cpu_seconds(pid)
    while time.monotonic() < end:
        time.sleep(0.03)
        now = cpu_seconds(pid)
        if now - before < 0.0005:
            return now
        before = now
    return before


def resident_bytes(pid: int) -> int:
    """Return the resident set of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * _KIB
    raise ValueError("the kernel does not tell the resident set")
