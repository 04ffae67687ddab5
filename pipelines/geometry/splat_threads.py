"""Shares one numba kernel between threads.

Kernels are compiled with `nogil=True` and called from a small pool of Python threads on disjoint work, instead
of numba's own parallel loops: compiling is several times cheaper, two Python threads may render at once without
numba's threading layers (of which one aborts the process on concurrent use), and no OpenMP barrier spins while
another program holds the core.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

# Held while kernels run on several threads: two renders at once would only fight for the same cores. Other
# modules that run parallel numba loops may take it too; it is re-entrant.
parallel_lock = threading.RLock()

if hasattr(os, "register_at_fork") and hasattr(parallel_lock, "_at_fork_reinit"):
    # A child forked while another thread renders would wait for that thread for ever.
    os.register_at_fork(after_in_child=parallel_lock._at_fork_reinit)

_pool: ThreadPoolExecutor | None = None
_pool_owner = 0
_thread_count: int | None = None


def thread_count() -> int:
    """Threads a render uses: `set_thread_count`, else NUMBA_NUM_THREADS or OMP_NUM_THREADS, else the cores."""
    if _thread_count is not None:
        return _thread_count
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return min(int(value), cores)
    return cores


def set_thread_count(count: int | None) -> None:
    """Fixes the number of threads (>= 1); None returns to the environment. The picture does not depend on it."""
    global _thread_count
    if count is not None and count < 1:
        raise ValueError(f"set_thread_count came with {count}; it needs at least 1, or None.")
    _thread_count = count


def share(kernel: Callable[[int], object], threads: int) -> None:
    """Calls kernel(0) ... kernel(threads - 1) at the same time and returns when all are done.

    Number 0 runs on the calling thread. An exception of any of them is raised here, after all have ended.
    """
    if threads <= 1:
        kernel(0)
        return
    pool = _get_pool(threads - 1)
    futures = [pool.submit(kernel, number) for number in range(1, threads)]
    try:
        kernel(0)
    finally:
        wait(futures)
    for future in futures:
        future.result()


def _get_pool(workers: int) -> ThreadPoolExecutor:
    """The pool of this process; threads do not survive a fork, so a child process makes its own."""
    global _pool, _pool_owner
    if _pool is None or _pool_owner != os.getpid() or _pool._max_workers < workers:
        _pool = ThreadPoolExecutor(workers, thread_name_prefix="splat")
        _pool_owner = os.getpid()
    return _pool
