"""Examinations in several threads each have the cores that they ask for."""

import subprocess
import sys
from threading import Barrier, Thread

import pytest
import torch
from mergegraph_evaluators.parts.threads import threads_of


def test_threads_do_not_change_the_cores_of_each_other():
    barrier, found = Barrier(3), {}

    def ask(count):
        with threads_of(count):
            barrier.wait()
            found[count] = torch.get_num_threads()
            barrier.wait()

    threads = [Thread(target=ask, args=(count,)) for count in (1, 2, 3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == {1: 1, 2: 2, 3: 3}


TOGETHER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from mergegraph.library import Library
from mergegraph.plugins import installed_plugins
from mergegraph.search.candidates import OnDisk
from mergegraph.search.examining import read_examination
from mergegraph.settings import Settings

plugins = installed_plugins()
examination = read_examination(f"perplexity,length=64,stride=32:{sys.argv[1]}", plugins)

def examine(name):
    with OnDisk(f"demo:{name}", Library(plugins.sources), Settings(threads=1)) as candidate:
        return examination.examine(candidate)

with ThreadPoolExecutor(4) as pool:
    together = list(pool.map(examine, ["base", "north"] * 2))
alone = [examine(name) for name in ("base", "north")] * 2
assert together == alone, (together, alone)
"""


def test_the_first_models_of_transformers_may_be_loaded_together(tmp_path):
    """It imports its parts when they are asked for, which two threads must not do at once."""
    pytest.importorskip("transformers")
    (tmp_path / "text.txt").write_text("n:abcd efgh=xyz abc " * 20)
    command = [sys.executable, "-c", TOGETHER, str(tmp_path / "text.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
