"""What a process has used, as Linux tells (proc(5))."""

import os
import re
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """User and system time so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory that is in RAM now, in MiB."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None, pid
    return int(found[1]) / 1024
