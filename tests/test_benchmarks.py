"""The harness of `benchmarks/`: models, floor, measuring, judging and the page."""

from __future__ import annotations

import json
import platform
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks import checks, kinship
from benchmarks.__main__ import main
from benchmarks.family import MODELS, WEIGHTS, make_family, make_hollow_family, to_bfloat16
from benchmarks.floor import floor, read
from benchmarks.judge import FLOOR, MIB, OURS, THEIRS, THROUGH_DISK, Target, judge
from benchmarks.machine import describe_machine
from benchmarks.page import page_text
from benchmarks.picture import draw_picture
from benchmarks.process import ProcessError, Usage, measure, median_usage
from benchmarks.rounds import Workplace, run_rounds, runs_of
from benchmarks.rows import Row, chosen_rows, make_rows
from benchmarks.series import Results, Series, read_results, write_results
from benchmarks.shapes import SIZES
from benchmarks.stages import write_recipe
from benchmarks.table import number
from mergegraph import pipeline

TINY = SIZES["tiny"]
ROWS = make_rows(512 * MIB)


def took(wall, peak=100 * MIB):
    return Usage(wall=wall, cpu=wall, peak=peak, read=10, written=5)


def python(code, folder):
    """Measure a Python that runs this."""
    return measure([sys.executable, "-c", code], folder=folder, log=folder / "log.txt")


# -- models ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    folder = tmp_path_factory.mktemp("family")
    make_family(folder, TINY.family)
    return folder


def test_a_family_is_the_same_bytes_every_time(family, tmp_path):
    make_family(tmp_path, TINY.family)
    for name in MODELS:
        assert (tmp_path / name / WEIGHTS).read_bytes() == (family / name / WEIGHTS).read_bytes()


def test_another_seed_gives_another_family(family, tmp_path):
    make_family(tmp_path, TINY.family, seed=1)
    assert (tmp_path / "a" / WEIGHTS).read_bytes() != (family / "a" / WEIGHTS).read_bytes()


def test_models_are_the_base_and_small_changes(family):
    base, model = (load_file(family / name / WEIGHTS) for name in ("base", "a"))
    name = "model.layers.0.mlp.up_proj.weight"
    assert base[name].dtype == torch.bfloat16
    assert base[name].float().std() == pytest.approx(0.02, rel=0.1)
    assert (model[name].float() - base[name].float()).std() == pytest.approx(0.001, rel=0.1)
    assert base["model.norm.weight"].float().mean() == pytest.approx(1, abs=0.02)


def test_sizes_are_what_they_are_called():
    assert SIZES["quick"].family.nbytes / 2e9 == pytest.approx(0.3, rel=0.1)
    assert SIZES["full"].family.nbytes / 2e9 == pytest.approx(1.1, rel=0.01)
    assert SIZES["full"].dense.nbytes / 2e9 == pytest.approx(6.74, rel=0.01)
    assert 60_000 <= len(SIZES["full"].mixture.tensors()) < 61_000


def test_rounding_to_bfloat16_is_that_of_torch():
    values = np.random.default_rng(0).standard_normal(10_000, dtype=np.float32)
    expected = torch.from_numpy(values).bfloat16().view(torch.uint16).numpy()
    np.testing.assert_array_equal(to_bfloat16(values), expected)


def test_a_hollow_family_takes_no_disk(tmp_path):
    make_hollow_family(tmp_path, SIZES["full"].dense)
    status = (tmp_path / "base" / WEIGHTS).stat()
    assert status.st_size > SIZES["full"].dense.nbytes
    assert status.st_blocks * 512 < 2**20


def test_every_recipe_can_be_planned(family, tmp_path):
    make_hollow_family(family / "dense", TINY.dense)
    make_hollow_family(family / "mixture", TINY.mixture)
    for row in ROWS.values():
        for name, stages in (row.recipes or {}).items():
            if "/" not in name:  # those have inputs that only a run makes
                write_recipe(tmp_path / f"{name}.yaml", stages, family)
                assert pipeline.plan(tmp_path / f"{name}.yaml", out=tmp_path / "out").plan.outputs


# -- floor and processes ---------------------------------------------------------------------


def test_the_floor_reads_all_and_writes_as_much_as_told(tmp_path):
    for name, nbytes in {"a": 3 * MIB + 1, "b": 5, "like": MIB + 7}.items():
        (tmp_path / name).write_bytes(b"x" * nbytes)
    told = floor(tmp_path / "out" / "new", tmp_path / "like", [tmp_path / "a", tmp_path / "b"])
    assert (tmp_path / "out" / "new").stat().st_size == MIB + 7
    assert told["wall"] > 0
    assert read(tmp_path / "a", bytearray(MIB)) == 3 * MIB + 1


def test_the_floor_takes_little_memory_and_all_bytes_pass_calls(family, tmp_path):
    place = Workplace(family, None, {})
    command = place.command(f"floor {tmp_path}/new base/{WEIGHTS} a/{WEIGHTS} b/{WEIGHTS}")
    usage = measure(command, folder=family, log=tmp_path / "log.txt")
    nbytes = (family / "base" / WEIGHTS).stat().st_size
    assert usage.peak < 40 * MIB
    assert usage.written is None or nbytes <= usage.written < nbytes + 1000
    assert usage.read is None or usage.read >= 2 * nbytes


def test_the_peak_is_of_the_process_and_not_of_this_one(tmp_path):
    held = np.ones(100 * MIB, dtype=np.uint8)
    small, large = (python(f"b = b'b' * ({n} << 20)", tmp_path).peak for n in (1, 64))
    assert small < 40 * MIB < held.nbytes
    assert 60 * MIB < large - small < 70 * MIB


def test_time_is_of_the_process(tmp_path):
    usage = python("import time; time.sleep(0.3)", tmp_path)
    assert usage.wall > 0.3
    assert usage.cpu < 0.3


def test_a_process_that_fails_says_why(tmp_path):
    with pytest.raises(ProcessError, match="exit status 1: out of luck"):
        python("raise SystemExit('out of luck')", tmp_path)


def test_a_program_that_is_missing_is_a_failure(tmp_path):
    with pytest.raises(ProcessError, match="nowhere"):
        measure([str(tmp_path / "nowhere")], folder=tmp_path, log=tmp_path / "log.txt")


def test_medians_are_of_each_quantity():
    usages = [Usage(1, 9, 5, 4, 1), Usage(2, 7, 9, 6, None), Usage(9, 8, 6, 5, 1)]
    assert median_usage(usages) == Usage(2, 8, 6, 5, None)


def test_what_runs_one_after_another_adds_up():
    assert took(1, peak=7).then(took(2, peak=5)) == Usage(3, 3, 7, 20, 10)


# -- rows and targets ------------------------------------------------------------------------


def judged(name, medians):
    """Verdicts and quantities of a row by target."""
    found = judge(name, ROWS[name].targets, medians)
    return {each.target.says: (each.verdict, each.measured) for each in found}


def test_a_limit_itself_is_met():
    top = Target("", lambda _medians: 2.0, 2.0)
    bottom = Target("", lambda _medians: 2.0, 2.0, at_least=True)
    assert [each.verdict for each in judge("row", [top, bottom], {})] == ["met", "met"]


def test_a_merge_is_judged_by_its_floor_and_by_mergekit():
    medians = {
        ("ties", OURS): took(10, peak=300 * MIB),
        ("floor of 4", FLOOR): took(4),
        ("ties", THEIRS): took(100, peak=4000 * MIB),
    }
    assert judged("ties", medians) == {
        "wall time ÷ floor": ("missed", 2.5),
        "peak memory": ("met", 300),
        "times faster than mergekit": ("missed", 10),
        "peak memory ÷ mergekit's": ("met", 0.075),
    }


def test_what_did_not_run_is_not_judged():
    found = judged("ties", {("ties", OURS): took(10)})
    assert found["wall time ÷ floor"] == ("not measured", None)
    assert found["peak memory"] == ("met", 100)


def test_two_recipes_may_write_more_than_one():
    medians = {
        ("two_recipes", OURS): took(14),
        ("ties", OURS): took(10),
        ("task_arithmetic", OURS): took(4),
        ("floor of 0", FLOOR): took(2),
    }
    (verdict, ratio), *_ = judged("two_recipes", medians).values()
    assert (verdict, ratio) == ("met", 1.2)


def test_a_hierarchy_is_held_against_its_stages():
    medians = {("hierarchy", OURS): took(6), ("hierarchy", THROUGH_DISK): took(10)}
    assert judged("hierarchy", medians)["wall time ÷ stages through disk"] == ("missed", 0.6)


def test_rows_bring_those_they_are_compared_with():
    names = [row.name for row in chosen_rows(ROWS, ["two_recipes"])]
    assert names == ["floor of 0", "floor of 4", "task_arithmetic", "ties", "two_recipes"]
    assert len(chosen_rows(ROWS, [])) == len(ROWS)


def test_a_program_that_fails_is_shown_and_not_run_again(family):
    row = Row("row", {"python": ['python -c "raise SystemExit(3)"']})
    runs = runs_of([row], repeats=3, mergekit_repeats=1, has_mergekit=False)
    told = []
    place = Workplace(family, None, {})
    (series,) = run_rounds(runs, place, before=lambda _run: None, after=told.append)
    assert len(told) == 1
    assert series.failure.startswith("exit status 3")


def test_the_machine_is_told_without_its_name(tmp_path):
    told = describe_machine(tmp_path, None)
    assert told["cores"].isdigit()
    assert told["torch"] == torch.__version__
    assert platform.node() not in told.values()
    assert not any("/" in each for each in told.values())


# -- results and page ------------------------------------------------------------------------


@pytest.fixture
def results():
    series = [
        Series("floor of 3", FLOOR, (took(1), took(2), took(9))),
        Series("linear", OURS, (took(4),)),
        Series("linear", THEIRS, (), "exit status 1: no such file"),
    ]
    settings = {
        "memory": "512MiB",
        "threads": "2",
        "repeats": "3",
        "mergekit_repeats": "1",
        "parameters": "1.1 billion",
        "tensors": "60,000",
    }
    return Results("2026-01-01", settings, {"cores": "2"}, tuple(series))


def test_results_are_kept(results, tmp_path):
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results


def test_the_page_tells_what_was_met_missed_and_not_measured(results):
    rows = chosen_rows(ROWS, ["linear"])
    judgements = [each for row in rows for each in judge(row.name, row.targets, results.medians)]
    text = page_text(rows, results, judgements, has_picture=False)
    assert "| linear | wall time ÷ floor | missed | 2.00 × | ≤ 1.5 × |" in text
    assert "Of 4 targets: 1 met, 1 missed, 2 not measured." in text
    assert "| linear | mergekit | failed | – | – | – | – | – |" in text
    assert "no such file" not in text


def test_the_picture_is_the_same_bytes_every_time(results, tmp_path):
    pytest.importorskip("matplotlib")
    rows = chosen_rows(ROWS, ["linear"])
    for name in ("a.svg", "b.svg"):
        draw_picture(tmp_path / name, rows, results.medians)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(("value", "text"), [(0.123, "0.12"), (12.34, "12.3"), (1234.5, "1234")])
def test_numbers_have_about_three_digits(value, text):
    assert number(value) == text


def test_the_command_measures_keeps_and_tells_again(tmp_path, capsys):
    given = ["--size", "tiny", "--folder", str(tmp_path), "--no-mergekit", "--repeats", "1"]
    given += ["--rows", "linear", "help", "--write", str(tmp_path)]
    assert main(given) == 0
    told = json.loads((tmp_path / "tiny" / "results.json").read_text())
    assert [each["row"] for each in told["series"]] == ["floor of 3", "linear", "help"]
    page = (tmp_path / "performance.md").read_text()
    assert str(tmp_path) not in page
    assert main([*given, "--again", "--strict"]) == 1  # tiny merges are far from their floor
    assert (tmp_path / "performance.md").read_text() == page
    assert "wall time ÷ floor" in capsys.readouterr().out


def test_the_command_knows_its_rows(capsys):
    assert main(["--rows", "lineal"]) == 2
    assert "no row lineal" in capsys.readouterr().out


def test_the_cost_of_checks_is_measured(family, tmp_path, capsys):
    given = ["--folder", str(family), "--out", str(tmp_path / "out"), "--repeats", "1"]
    assert checks.main([*given, "--merges", "linear", "ties", "--threads", "1"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [each.split()[0] for each in told] == ["linear", "ties"]
    assert not (tmp_path / "out").exists()


def test_kinship_is_measured_over_reading(family, tmp_path, capsys):
    options = ["--folder", str(family), "--out", str(tmp_path), "--repeats", "1"]
    assert kinship.main(options) == 0
    told = capsys.readouterr().out
    assert "× reading" in told
