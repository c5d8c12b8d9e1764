"""Reading ahead in windows: the bytes are the files', however few fit, in any order of reading."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergegraph.files.header import Entry, Spliced
from mergegraph.ops.arithmetic import load
from mergegraph.rowmap import RowMap
from mergegraph.running.windows import Windows, window_nbytes, windows_in_order, windows_nbytes
from mergegraph.spec import Spec

A, B = Path("a"), Path("b")


def loads(*spans):
    """Load tasks of bytes of files: `loads((A, 0, 10))`."""
    return [
        load(entry=Entry(path, start, Spec((stop - start,), "uint8"), f"{path}{start}"))
        for path, start, stop in spans
    ]


def cut(passes, size):
    return [(w.path, w.start, w.stop) for w in windows_in_order(passes, size)]


class Far:
    """Files elsewhere, and what was read of them."""

    def __init__(self, **files):
        self.files = {Path(name): data for name, data in files.items()}
        self.reads = []
        self.lock = threading.Lock()

    def read(self, path, start, stop):
        with self.lock:
            self.reads.append((path, start, stop))
        return self.files[path][start:stop]

    @property
    def streams(self):
        def stream(path):
            return lambda start, stop: self.read(path, start, stop)

        return {path: stream(path) for path in self.files}


# -- cutting ---------------------------------------------------------------------------------


def test_rows_by_a_map_are_read_of_the_tensor_and_of_nothing_behind_it():
    entry = Entry(A, 5, Spec((2, 5), "uint8"), "a")
    task = load(entry=entry, rows=RowMap.of_rows([1, 0, 1, 1], 2))
    assert cut([[task]], 20) == [(A, 5, 15)]


def test_tensors_put_together_of_several_files_are_read_of_each():
    parts = tuple(Entry(path, 5, Spec((1, 5), "uint8"), str(path)) for path in (A, B))
    task = load(entry=Spliced(parts, Spec((2, 5), "uint8")))
    assert cut([[task]], 20) == [(A, 5, 10), (B, 5, 10)]


def test_large_tensor_is_cut():
    assert cut([loads((A, 5, 30))], 10) == [(A, 5, 15), (A, 15, 25), (A, 25, 30)]


def test_small_neighbours_come_together():
    assert cut([loads((A, 0, 3), (A, 3, 6)), loads((A, 6, 20))], 10) == [
        (A, 0, 6),
        (A, 0, 6),
        (A, 6, 16),
        (A, 16, 20),
    ]


def test_tensors_of_a_pass_are_read_side_by_side():
    order = cut([loads((A, 0, 20), (B, 0, 20))], 10)
    assert order == [(A, 0, 10), (B, 0, 10), (A, 10, 20), (B, 10, 20)]


def test_what_is_not_merged_is_not_read():
    order = cut([loads((A, 0, 4), (A, 100_000, 100_004))], 1000)
    assert order == [(A, 0, 4), (A, 100_000, 100_004)]


def test_empty_tensors_need_no_window():
    assert cut([loads((A, 4, 4))], 10) == []


def test_share_of_the_budget_grows_no_faster_than_it():
    budgets = [2**20 * i for i in range(0, 4000, 7)]
    shares = [windows_nbytes(each) for each in budgets]
    steps = zip(shares[1:], shares, strict=False)
    assert all(0 <= after - before <= 7 * 2**20 for after, before in steps)
    assert all(window_nbytes(each, 3) >= 2**19 for each in shares)


# -- reading ---------------------------------------------------------------------------------


def test_next_windows_are_asked_for_before_they_are_read():
    far = Far(a=bytes(range(100)))
    order = windows_in_order([loads((A, 0, 100))], 10)
    with Windows(far.streams, order, 10_000) as windows:
        windows.read(A, 0, 1)
        wait_for(lambda: len(far.reads) == 10)


def test_window_is_read_once_however_many_strips_it_has():
    far = Far(a=bytes(range(100)))
    order = windows_in_order([loads((A, 0, 100))], 20)
    with Windows(far.streams, order, 10_000) as windows:
        found = [windows.read(A, at, at + 1) for at in range(100)]
    assert b"".join(found) == bytes(range(100))
    assert sorted(far.reads) == [(A, at, at + 20) for at in range(0, 100, 20)]


def test_memory_holds_no_more_than_was_given():
    far = Far(a=bytes(1000))
    order = windows_in_order([loads((A, 0, 1000))], 10)
    with Windows(far.streams, order, 55) as windows:
        for at in range(0, 1000, 5):
            windows.read(A, at, at + 5)
            assert sum(map(len, filter(None, windows._found.values()))) <= 55
    assert len(far.reads) == 100


def test_failure_is_raised_where_the_bytes_are_wanted():
    def broken(start, stop):
        if start >= 50:
            raise OSError("gone")
        return bytes(stop - start)

    order = windows_in_order([loads((A, 0, 100))], 10)
    with Windows({A: broken}, order, 10_000) as windows:
        assert windows.read(A, 0, 50) == bytes(50)
        with pytest.raises(OSError, match="gone"):
            windows.read(A, 60, 61)


def test_threads_end_with_the_block():
    far = Far(a=bytes(100))
    before = threading.active_count()
    with Windows(far.streams, windows_in_order([loads((A, 0, 100))], 10), 100) as windows:
        windows.read(A, 0, 10)
    wait_for(lambda: threading.active_count() <= before)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_any_reads_in_any_order_give_what_the_files_have(seed):
    random = Random(seed)
    far = Far(**{name: random.randbytes(random.randint(10, 2000)) for name in "abc"})

    def span(path):
        ends = sorted(random.randrange(len(far.files[path]) + 1) for _ in range(2))
        return (path, *ends)

    passes = [
        loads(*(span(random.choice(list(far.files))) for _ in range(random.randint(1, 4))))
        for _ in range(random.randint(1, 5))
    ]
    order = windows_in_order(passes, random.randint(1, 300))
    reads = [(w.path, w.start, w.stop) for w in order] + [span(path) for path in far.files]
    if random.random() < 0.5:
        random.shuffle(reads)
    budget = random.choice([1, 50, 500, 10**6])
    with (
        Windows(far.streams, order, budget) as windows,
        ThreadPoolExecutor(random.randint(1, 4)) as pool,
    ):
        found = list(pool.map(lambda each: windows.streams[each[0]](*each[1:]), reads, timeout=30))
    assert found == [far.files[path][start:stop] for path, start, stop in reads]


def wait_for(happened):
    for _ in range(500):
        if happened():
            return
        threading.Event().wait(0.01)
    assert happened()
