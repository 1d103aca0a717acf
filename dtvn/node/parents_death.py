"""A signal from the kernel when the process that started this one ends (Linux: prctl PR_SET_PDEATHSIG).

It is tied to the *thread* that started the process, and is forgotten when a program changes its credentials.
"""

import ctypes
import sys

PR_SET_PDEATHSIG = 1


def signal_at_parents_death(number: int) -> None:
    """Ask the kernel for a signal when our parent dies, 0 for none; does nothing on systems other than
    Linux."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
