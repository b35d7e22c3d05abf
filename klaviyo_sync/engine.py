"""The DuckDB that a run works with, and how it keeps memory small."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from klaviyo_sync.interrupts import on_interrupt
from klaviyo_sync.scratch import Scratch, spilling

ENGINE_MEMORY = "64MB"
FLUSH_EARLY = "SET allocator_flush_threshold = '1MB'"  # DuckDB's allocator gives back what it has freed after each task
M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3  # of glibc's malloc.h
LARGE = 4 * 2**20  # bytes: below, what is freed is used again at once, and its pages need not be made anew


@contextmanager
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of our own in memory, for encoding and for rivals; what does not fit is spilled into a private folder.

    Raises Unavailable when the disk of the temporary folder is full, whatever inside the block writes there.
    """
    return_memory()
    with spilling(), Scratch() as folder:
        config = {"memory_limit": ENGINE_MEMORY, "temp_directory": str(folder), "threads": 1}
        with duckdb.connect(config=config) as connection, on_interrupt(connection.interrupt):
            connection.execute("SET TimeZone = 'UTC'; SET arrow_large_buffer_size = true; SET preserve_insertion_order = false")
            connection.execute(FLUSH_EARLY)
            yield connection


def return_memory() -> None:
    """Has freed memory given back, or used again, where that can be set: a run is long, and its peak is what a container must hold.

    pyarrow gives back at once what it frees. glibc keeps one heap for all threads: with one each, what a thread that fetches or sends
    has freed would be of use to no other. What is LARGE stays out of that heap, so that it is given back as soon as it is freed. What
    imports and Dagster's loading have left behind is given back before the rows come.
    """
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(0)
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):  # other C libraries have none
        libc.mallopt(M_ARENA_MAX, 1)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)
        gc.collect()
        libc.malloc_trim(0)
