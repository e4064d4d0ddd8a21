"""The number of forks that led to this process.

It tells a child from its parent without a system call: locks and passes belong to one process.
"""

import os

depth = 0  # forks between the process that imported cbp and this one


def _count() -> None:
    global depth
    depth += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count)
