"""Times as multiples of a memory copy, held against those that were kept.

A ratio to a copy made just before and after says the same today and tomorrow, and nearly the same
on the next machine; seconds do not. `kept.json` is rewritten by `make bench-keep`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from timeit import Timer
from typing import Any

import pytest
import torch

from mergegraph.machine import keep_freed_memory

# From run to run, another core busy or not, ratios wander by 3 %, the smallest and those of merges
# by 12 %. What is beyond the margin is measured again; only what stays there is slower.
MARGIN = 1.4
ATTEMPTS = 3
KEPT = Path(__file__).with_name("kept.json")
RATIOS = pytest.StashKey[dict[str, float]]()


def pytest_addoption(parser):
    parser.addoption("--bench-keep", action="store_true", help="keep the ratios of this run")


def pytest_configure(config):
    config.stash[RATIOS] = {}


@pytest.fixture(autouse=True)
def one_thread():
    """As the workers of a merge compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def compared(benchmark, request) -> Callable[[Callable[[], Any], int], None]:
    """Time a function against copying so many float32 numbers, and the ratio against the kept one.

    Without `--benchmark-enable` it is called once, and nothing is compared.
    """

    def compare(function: Callable[[], Any], numel: int) -> None:
        if not benchmark.enabled:
            benchmark(function)
            return
        keep_freed_memory(1)  # as a merge does; else page faults come or not by chance
        benchmark(function)
        name = request.node.name
        ratio = benchmark.stats.stats.min / _copying(numel)
        if not request.config.getoption("--bench-keep", default=False):
            ratio = _held_against(_kept().get(name), ratio, function, numel)
        request.config.stash[RATIOS][name] = benchmark.extra_info["copies"] = round(ratio, 2)

    return compare


def pytest_sessionfinish(session, exitstatus):
    ratios = session.config.stash[RATIOS]
    if ratios and exitstatus == 0 and session.config.getoption("--bench-keep", default=False):
        KEPT.write_text(json.dumps(dict(sorted(ratios.items())), indent=1) + "\n", encoding="utf-8")


def pytest_terminal_summary(terminalreporter, config):
    ratios = config.stash[RATIOS]
    if not ratios:
        return
    kept = _kept()
    terminalreporter.section("times as multiples of a memory copy")
    for name, ratio in ratios.items():
        terminalreporter.line(f"{ratio:9.2f}  kept {kept.get(name, 0):9.2f}  {name}")


def _kept() -> dict[str, float]:
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}


def _held_against(kept: float | None, ratio: float, function: Callable[[], Any], numel: int):
    """The ratio, the best of some attempts, if it is within the margin; or else the test fails."""
    if kept is None:
        pytest.fail("there is no kept ratio yet; `make bench-keep` keeps one")
    attempts = 1
    while ratio > kept * MARGIN and attempts < ATTEMPTS:
        ratio = min(ratio, _fastest(function) / _copying(numel))
        attempts += 1
    if ratio <= kept * MARGIN:
        return ratio
    pytest.fail(f"takes {ratio:.2f} copies, kept were {kept:.2f}, the margin is {MARGIN:g} times")


def _copying(numel: int) -> float:
    """Seconds to copy so many float32 numbers."""
    source, target = torch.rand(numel), torch.empty(numel)
    return _fastest(lambda: target.copy_(source))


def _fastest(function: Callable[[], Any]) -> float:
    """Seconds of the fastest of fifty rounds, each of about a fiftieth of a second."""
    timer = Timer(function)
    calls, seconds = timer.autorange()
    calls = max(1, round(calls * 0.02 / seconds))
    return min(timer.repeat(50, calls)) / calls
