"""The step between spawn and exec that binds a program's life to its parent's; run by path, with `python -I -S`.

Its arguments are the parent's pid, the program's path and the program's arguments. Python code in a forked child
(`preexec_fn`) can deadlock when the parent has threads, so this is a program of its own, which becomes the other one.
The binding survives the exec (prctl(2), PR_SET_PDEATHSIG).
"""

import ctypes
import os
import signal
import sys

# From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for SIGKILL on the parent's death, then exec the program.

    Raises:
        OSError: the kernel refused, or the program can't be executed.
    """
    parent = int(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    # A parent that died before the call above sends no signal any more.
    if os.getppid() != parent:
        sys.exit("the parent died before the program began")
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
