"""Scores that programs print: read, refused in a sentence, and no program outlives its caller."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mergegraph.errors import MergeGraphError
from mergegraph.plugins import installed_plugins
from mergegraph.search.examining import check_apart, read_examination

pytestmark = pytest.mark.skipif(os.name != "posix", reason="words are taken apart as on POSIX")
PRINTS = "shell:printf '%s' '{}' {{model}}"


@pytest.fixture
def script(tmp_path):
    """Words that run a script of Python with the model's directory."""

    def write(source, settings=""):
        path = tmp_path / "a script.py"
        path.write_text(source)
        return f"shell{settings}:{sys.executable} '{path}' {{model}}"

    return write


def test_a_program_sees_a_directory(examined, script):
    source = "import json, os, sys\nprint(json.dumps({'files': len(os.listdir(sys.argv[1]))}))"
    assert examined(script(source), "demo:base")["files"] > 3


def test_the_last_object_has_the_scores(examined, script):
    source = """
print('{"loss": 9, "step": {"loss": 8}} half an {object')
print('{\\n "loss": 0.5, "task": "x", "done": true, "more": {"deep": 1}, "list": [1], "n": 3}')
print('bye')
"""
    assert examined(script(source), "demo:base") == {"loss": 0.5, "n": 3.0}


@pytest.mark.parametrize(
    "printed",
    [
        "{'acc': {\"x\": 3}}",
        "[{'a': 1}, {\"a\": 2}]",
        '[\n{"a": 1},\n{"a": 2}\n]',
        'the scores: {"a": 1}',
        ' {"a": 1}',
        "z" * 2**20 + '{"a": 1}',
    ],
)
def test_an_object_inside_something_else_has_no_scores(refused, script, printed):
    told = refused(script(f"print({printed!r})"), "demo:base")
    assert "printed no JSON object that begins a line" in told


def test_of_much_that_is_printed_the_last_lines_count(examined, script):
    source = "print('{\"a\": 1}\\n' + 'z' * 2**20 + '\\n{\"a\":\\n2}\\nbye')"
    assert examined(script(source), "demo:base") == {"a": 2.0}


def test_an_object_that_is_cut_has_no_scores(refused, script):
    source = "import json\nprint(json.dumps({'l': [{'x': 1}] * 2**17, 'acc': 1}, indent=0))"
    assert "of the last 1 MiB of standard output" in refused(script(source), "demo:base")


@pytest.mark.parametrize("line", ["{", '{"a":', '{"a": ['])
def test_what_looks_like_objects_is_soon_given_up(refused, script, line):
    source = f"print({line!r} * 2**20 + '\\n' + ({line!r} + '\\n') * 2**17)"
    began = time.monotonic()
    refused(script(source), "demo:base")
    assert time.monotonic() - began < 5


def test_long_lines_of_errors_are_cut(refused, script):
    assert len(refused(script("import sys; sys.exit('x' * 100000)"), "demo:base")) < 1000


def test_no_shell_reads_the_command(examined, script):
    source = "import json, sys\nprint(json.dumps({'words': len(sys.argv)}))"
    assert examined(script(source) + " '$HOME;' *", "demo:base")["words"] == 4


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import sys; sys.exit('a b\\nno such task')", "ended with status 1: a b / no such task"),
        ("import sys; sys.exit(3)", "ended with status 3: it says nothing of why"),
        ("import os; os.abort()", "ended with status 134"),
        ("print(1)", "printed no JSON object"),
        ('print(\'{"a": "b"}\')', "printed an object without numbers; it has a"),
        ("print('{\"a\": NaN}')", "gave nan for a"),
    ],
)
def test_what_is_no_score_is_said(refused, script, source, told):
    assert told in refused(script(source), "demo:base")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("shell:score-nobody-has {model}", "there is no program 'score-nobody-has'"),
        ("shell:{model} x", "begins with the model; write a program before it"),
        ("shell:ls", "write {model} in it"),
        ("shell:ls '{model}", "No closing quotation"),
        ("shell,uses=nowhere.txt:ls {model}", "nowhere.txt: no such file"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(refused, words, told):
    assert told in refused(words, "nowhere")


def test_two_commands_are_two_data_unless_files_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "one and one"}\n')

    def read(words):
        return read_examination(words, installed_plugins())

    check_apart(read("shell:ls {model} a"), read("shell:ls {model} b"))
    uses = f"shell,uses={tmp_path / 'a.jsonl'}"
    with pytest.raises(MergeGraphError, match="2 of 2 pieces"):
        check_apart(read(f"{uses}:ls {{model}} a"), read(f"{uses}:ls {{model}} b"))


# -- programs that do not end ------------------------------------------------------------------

ENDLESS = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True
)
pathlib.Path({path!r}).write_text(f'{{os.getpid()}} {{child.pid}}')
time.sleep(60)
"""


LEAVES = """
import pathlib, subprocess, sys
code = 'import time; time.sleep(60)'
left = [subprocess.Popen([sys.executable, '-c', code], start_new_session={alone})]
pathlib.Path({path!r}).write_text(str(left[0].pid))
print('{{"a": 1}}')
"""


def are_gone(numbers):
    for _ in range(100):
        if not any(is_there(each) for each in numbers):
            return True
        time.sleep(0.05)
    return False


def is_there(number):
    try:
        told = Path(f"/proc/{number}/stat").read_text()
        return told.rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


needs_proc = pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks them up in /proc")


@needs_proc
def test_a_program_that_takes_too_long_is_ended_with_its_children(refused, script, tmp_path):
    told = refused(script(ENDLESS.format(path=str(tmp_path / "ids")), ",timeout=1"), "demo:base")
    assert told == "shell on demo:base: took longer than 1 seconds; allow more with timeout="
    assert are_gone((tmp_path / "ids").read_text().split())


@needs_proc
@pytest.mark.parametrize("alone", [False, True])
def test_what_a_program_leaves_behind_is_ended(examined, script, tmp_path, alone):
    source = LEAVES.format(path=str(tmp_path / "ids"), alone=alone)
    assert examined(script(source), "demo:base") == {"a": 1.0}
    assert are_gone([(tmp_path / "ids").read_text()])


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_program_outlives_a_process_that_is_ended(script, tmp_path, number):
    words = script(ENDLESS.format(path=str(tmp_path / "ids")))
    command = [sys.executable, "-m", "mergegraph", "evaluate", "demo:base", "-e", words]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for _ in range(600):
        if (tmp_path / "ids").exists() and (tmp_path / "ids").read_text().count(" "):
            break
        time.sleep(0.05)
    process.send_signal(number)
    process.wait()
    assert are_gone((tmp_path / "ids").read_text().split())
