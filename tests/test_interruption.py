"""How the process ends: signals in every phase of commands, streams that are closed."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

import mergegraph
from mergegraph.testing import tiny_family

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")
LIMIT = 12  # seconds that a command may take to end on a machine with much else to do
BOTH = [signal.SIGINT, signal.SIGTERM]

# `stuck` is one call of C that takes a quarter of an hour and hears nothing
PLUGIN = """\
import hashlib, os, time
from pathlib import Path
from mergegraph import hookimpl, method, op

def begin(phase):
    if os.environ.get("PHASE") == phase:
        Path("begun").touch()
        return True

def stuck():
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

calls = []

@op(cut="pointwise")
def slow(tensor):
    calls.append(tensor.shape)
    if len(calls) > 4:
        if begin("kernel"):
            stuck()
        if begin("python"):
            time.sleep(60)
    return tensor.clone()

@method
def slowly(models):
    if begin("planning"):
        stuck()
    return slow(models[0])

@hookimpl
def merge_methods():
    return [slowly]

if begin("import"):
    stuck()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A directory with a recipe of a plugin that can be slow in any phase."""
    monkeypatch.chdir(tmp_path)
    tiny_family(tmp_path, layers=1, hidden=12, vocabulary=20)
    Path("r.yaml").write_text("merge_method: slowly\nmodels: [{model: tuned-1}]\n")
    Path("slow.py").write_text(PLUGIN)
    Path("slow-1.0.dist-info").mkdir()
    Path("slow-1.0.dist-info/METADATA").write_text("Name: slow\nVersion: 1.0\n")
    Path("slow-1.0.dist-info/entry_points.txt").write_text("[mergegraph]\nslow = slow\n")
    return tmp_path


@pytest.fixture(autouse=True)
def _heard():
    """Let what is started here hear SIGINT, also where this is run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(*arguments, phase="", program=("-m", "mergegraph"), **streams):
    kept = {key: value for key, value in os.environ.items() if key != "PHASE"}
    found = {**kept, "PYTHONPATH": str(Path.cwd()), **({"PHASE": phase} if phase else {})}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    command = [sys.executable, *program, *arguments]
    return subprocess.Popen(command, env=found, text=True, errors="surrogateescape", **streams)


def interrupt(started, number):
    """Send a signal as soon as the phase has begun; gives status, sentence and seconds."""
    await_file("begun", started)
    began = time.monotonic()
    started.send_signal(number)
    _, told = started.communicate(timeout=60)
    return started.returncode, told, time.monotonic() - began


def await_file(name, started):
    while not Path(name).exists():
        assert started.poll() is None, started.communicate()
        time.sleep(0.005)


def finish(*arguments, **how):
    started = start(*arguments, **how)
    out, err = started.communicate(timeout=60)
    return started.returncode, out, err


def same(one, other):
    """Whether two models have the same tensors."""
    made, whole = (load_file(f"{each}/model.safetensors") for each in (one, other))
    return made.keys() == whole.keys() and all(made[name].equal(whole[name]) for name in whole)


# -- commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phase", "number"), [("import", BOTH[0]), ("planning", BOTH[1])])
def test_before_the_run_a_signal_is_heard_while_c_is_at_work(phase, number):
    status, told, seconds = interrupt(start("run", "r.yaml", phase=phase), number)
    assert (status, told) == (130, "interrupted; to continue: mergegraph run r.yaml\n")
    assert seconds < LIMIT
    assert not Path("merged").exists()


def test_a_run_ends_in_the_midst_of_a_kernel_and_continues():
    words = ["run", "r.yaml", "--out", "an out", "--threads", "1", "--quiet"]
    status, told, seconds = interrupt(start(*words, phase="kernel"), signal.SIGTERM)
    rest = f"of 12 tensors are finished; to continue: mergegraph {shlex.join(words)}\n"
    assert status == 130
    # the writer may have one in hand
    assert told in {f"interrupted, {count} {rest}" for count in (3, 4)}
    assert seconds < LIMIT
    assert finish(*words) == (0, "", "")
    assert same("an out", "tuned-1")


def test_a_reproduction_that_is_interrupted_leaves_nothing():
    finish("run", "r.yaml", "--out", "out")
    before = sorted(Path().iterdir())
    started = start("reproduce", "out", phase="kernel")
    status, told, seconds = interrupt(started, signal.SIGTERM)
    assert status == 130
    assert told.splitlines()[-1] == "interrupted"
    assert seconds < LIMIT
    Path("begun").unlink()
    assert sorted(Path().iterdir()) == before


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs /proc")
def test_verify_ends_in_the_midst_of_a_tensor():
    """The weights are a hole in a file: hours of zeros."""
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (2**42, 2**42)
    Path("hollow").mkdir()
    with Path("hollow/model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        try:
            file.truncate(8 + len(header) + 2**42)
        except OSError:
            pytest.skip("needs a file system with files of 4 TiB")
    started = start("verify", "hollow")
    while not is_reading(started.pid):
        assert started.poll() is None, started.communicate()
        time.sleep(0.01)
    Path("begun").touch()
    status, told, seconds = interrupt(started, signal.SIGINT)
    assert (status, told) == (130, "interrupted\n")
    assert seconds < LIMIT


def is_reading(pid):
    facts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(facts["rchar"]) > 2**29


def test_on_a_terminal_the_line_goes_and_the_cursor_comes_back():
    ours, theirs = pty.openpty()
    started = start("run", "r.yaml", phase="python", stderr=theirs)
    os.close(theirs)
    shown = b""
    while piece := read(ours):
        shown += piece
        if Path("begun").exists() and started.poll() is None:
            started.send_signal(signal.SIGINT)
            Path("begun").unlink()
    os.close(ours)
    started.communicate()
    assert started.returncode == 130
    assert shown.count(b"\x1b[?25l") == 1
    last = shown.rpartition(b"\x1b[?25h")[2]
    assert last.startswith(b"interrupted")
    assert last.endswith(b"to continue: mergegraph run r.yaml\r\n")


def read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # on Linux, where the other side is closed
        return b""


@pytest.mark.parametrize("arguments", ["--help", "methods"])
def test_who_closes_the_pipe_ends_the_command(arguments):
    started = start(arguments)
    started.stdout.close()
    with started.stderr as said:
        assert said.read() == ""
    assert started.wait() == 141


def test_streams_that_are_closed_are_no_files_of_ours():
    """A file that had the number of stderr would be written to by others."""
    command = shlex.join([sys.executable, "-m", "mergegraph", "run", "r.yaml", "--out", "out"])
    found = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"], env=found, check=False)
    assert done.returncode == 0
    assert same("out", "tuned-1")


# -- the interruption alone ----------------------------------------------------------------------

ALONE = """\
import hashlib, os, signal, sys, time
from pathlib import Path
from mergegraph.interruption import Interruption

def stuck():
    Path("begun").touch()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

def asked(number=signal.SIGTERM):
    os.kill(os.getpid(), number)

interruption = Interruption(["run", "a b.yaml", "\\udcff"])
with interruption:
"""


def alone(text):
    """A program of a few lines during which signals are heard."""
    return ("-c", ALONE + "".join(f"    {line}\n" for line in text.splitlines()))


def ended(text):
    return finish(program=alone(text))


def test_a_second_signal_leaves_at_once():
    """Whatever is yet to be done before leaving."""
    started = start(program=alone("interruption.after_telling(stuck)\nasked()"))
    await_file("begun", started)
    time.sleep(0.3)  # what comes sooner is taken for the same
    began = time.monotonic()
    started.send_signal(signal.SIGINT)
    assert started.communicate(timeout=60) == ("", "interrupted\n")
    assert started.returncode == 130
    assert time.monotonic() - began < LIMIT


def test_signals_that_were_ignored_stay_so():
    """As under nohup, and in the background of a script."""
    program = (sys.executable, *alone("asked(signal.SIGINT)\nasked(signal.SIGHUP)\nprint('done')"))
    assert finish(*program, program=("-c", IGNORING)) == (0, "done\n", "")


IGNORING = """\
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("error", ["ValueError('x')", "SystemExit(1)", "KeyboardInterrupt()"])
def test_what_comes_of_an_interruption_is_no_news(error):
    """As when the main thread was in C, and fails since what it works on is taken away."""
    text = f"interruption.is_heard = True\nasked()\nraise {error}"
    assert ended(text) == (130, "", "interrupted\n")


def test_nothing_goes_on_after_a_signal():
    text = "try:\n    asked()\n    print('went on')\nfinally:\n    print('ended')"
    assert ended(text) == (130, "", "interrupted\n")


def test_what_is_done_before_leaving_is_not_waited_for():
    text = "interruption.before_telling(stuck)\ninterruption.after_telling(stuck)\nasked()"
    began = time.monotonic()
    assert ended(text) == (130, "", "interrupted\n")
    assert time.monotonic() - began < LIMIT


@pytest.mark.parametrize(("end", "status"), [("", 0), ("sys.exit(2)", 2)])
def test_a_signal_that_comes_after_all_changes_nothing(end, status):
    assert ended(f"import atexit; atexit.register(asked)\n{end}") == (status, "", "")


def test_the_command_is_told_as_one_would_type_it():
    status, _, told = ended("interruption.continues = True\nasked()")
    assert status == 130
    assert told == "interrupted; to continue: mergegraph run 'a b.yaml' '\udcff'\n"


def test_what_cannot_be_told_soon_is_left_out():
    text = "interruption.continues = True\ninterruption.keeps(stuck)\nasked()"
    assert ended(text)[2].startswith("interrupted; to continue: mergegraph run ")


def test_a_pipe_that_nobody_reads_keeps_nothing():
    text = "os.set_blocking(2, True)\nos.write(2, bytes(2**16))\nasked()"
    started = start(program=alone(text))
    assert started.wait(timeout=60) == 130
    started.communicate()


def test_a_process_that_is_forked_and_ended_ends_none_but_itself():
    text = (
        "child = os.fork()\n"
        "if not child:\n    Path('begun').touch()\n    time.sleep(60)\n"
        "while not Path('begun').exists():\n    time.sleep(0.01)\n"
        "os.kill(child, signal.SIGTERM)\n"
        "print(os.waitpid(child, 0)[1])\n"
        "time.sleep(0.5)"
    )
    assert ended(text) == (0, f"{int(signal.SIGTERM)}\n", "")


# -- as a library --------------------------------------------------------------------------------


def test_runs_of_the_library_touch_no_signals_and_go_in_any_thread(monkeypatch):
    Path("l.yaml").write_text("merge_method: passthrough\nmodels: [{model: tuned-1}]\n")
    before = [signal.getsignal(each) for each in BOTH]
    made = []
    thread = threading.Thread(target=lambda: made.append(mergegraph.run("l.yaml", out="out")))
    thread.start()
    thread.join()
    assert made[0].directories == (Path("out"),)
    assert [signal.getsignal(each) for each in BOTH] == before


def test_interrupted_runs_of_the_library_leave_no_threads(monkeypatch):
    from mergegraph.writing.result import Result

    def interrupted(*_):
        raise KeyboardInterrupt

    Path("l.yaml").write_text("merge_method: passthrough\nmodels: [{model: tuned-1}]\n")
    before = {*threading.enumerate()}
    for step in ("finish", "settle", "seal"):
        with monkeypatch.context() as patch:
            patch.setattr(Result, step, interrupted)
            with pytest.raises(KeyboardInterrupt):
                mergegraph.run("l.yaml", out="out")
    deadline = time.monotonic() + 10
    while (left := {*threading.enumerate()} - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left
