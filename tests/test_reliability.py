"""The short form of the campaign in `reliability/`, and laws of what continues."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mergegraph
from mergegraph.errors import MergeGraphError
from mergegraph.writing.journal import JOURNAL, read_journal
from reliability.__main__ import main
from reliability.combinations import (
    HASH_SEEDS,
    Bench,
    Case,
    DifferenceError,
    families,
    try_methods,
)
from reliability.families import MODELS, Family, write_family
from reliability.figures import Figures, read_figures, write_figures
from reliability.jobs import Job, carry_out, least_memory
from reliability.kills import damage, try_kills
from reliability.nursery import Nursery
from reliability.page import PARTS, page_text
from reliability.recipes import methods, recipes
from reliability.rivals import try_rivals
from reliability.sameness import content_of
from reliability.scenes import SMALL_SCENES
from reliability.ways import Kill, Way, ways
from reliability.worlds import adapted, adapters, quantised, synthetic, tokens

ROOT = Path(__file__).parent.parent
ONLY_LINUX = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are held as Linux alone allows"
)
BRIEF = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def nursery():
    with Nursery(HASH_SEEDS[2]) as made:
        yield made


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "bench")


# -- the same bytes --------------------------------------------------------------------------


@BRIEF
@given(data=st.data())
def test_whatever_the_way_the_bytes_are_the_same(tmp_path_factory, data):
    world = synthetic(data.draw(families()))
    case = Case(world, (data.draw(recipes(world)), data.draw(recipes(world))), strip=512)
    bench = Bench(tmp_path_factory.mktemp("bench") / "bench")
    bench.attempt(case, data.draw(st.lists(ways(0, may_compile=False), min_size=2, max_size=2)))


@pytest.mark.parametrize("kind", [adapted, adapters, quantised, tokens])
def test_the_bytes_are_the_same_of_models_of_every_kind(bench, kind):
    world = kind(Family(dtypes=("float32",) * len(MODELS)))
    models = [{"model": each, "parameters": {"weight": 1}} for each in world.models]
    base = {"base_model": world.base} if world.base else {}
    method = "dare_ties" if world.base else "linear"
    recipe = json.dumps({"merge_method": method, **base, "models": models, **world.keys})
    others = [
        Way(threads=7, budget="least", files=3, spelling="link"),
        Way(threads=2, together=64, shard_size="1", spelling="relative"),
    ]
    bench.attempt(Case(world, (recipe,), strip=200), others)
    assert bench.tally.ways == 2


def test_every_method_gives_the_same_bytes(bench):
    try_methods(bench, Way(threads=7, budget="least", together=64, every=1))
    assert bench.tally.methods.keys() == methods().keys()


@ONLY_LINUX
def test_hash_seeds_and_kills_change_nothing(nursery, tmp_path):
    world = synthetic(Family(has_experts=True))
    models = [{"model": each} for each in world.models]
    parameters = {"weight": 1, "density": 0.4, "scope": "global"}
    recipe = {"merge_method": "ties", "base_model": world.base, "models": models}
    case = Case(world, (json.dumps({**recipe, "parameters": parameters}),), strip=200)
    kills = (Kill(0.05, 2, "ample"), Kill(0.03, 7, "little"))
    bench = Bench(tmp_path / "bench", [nursery])
    bench.attempt(case, [Way(nursery=0, kills=kills, every=1), Way(nursery=0, threads=7)])
    assert bench.tally.ways == 2


def test_another_byte_is_told(bench, monkeypatch):
    world = synthetic(Family())
    models = [{"model": each, "parameters": {"weight": 1}} for each in world.models]
    case = Case(world, (json.dumps({"merge_method": "linear", "models": models}),), strip=512)
    seen = iter(range(100))
    changed = "reliability.combinations.content_of"
    monkeypatch.setattr(
        changed, lambda place: replace(content_of(place), sides={str(next(seen)): "x"})
    )
    with pytest.raises(DifferenceError, match="0, 1 differ"):
        bench.attempt(case, [Way()])


@pytest.mark.parametrize("method", ["ties", "dare_ties", "model_stock", "tsv_merge", "linear"])
def test_what_is_merged_in_memory_is_what_is_written(method, tmp_path):
    family = Family(dtypes=("float32",) * len(MODELS), odd=((2, 1031), (7,)))
    write_family(family, tmp_path)
    held = [{n: t for n, t in family.tensors(i).items() if t.is_floating_point()} for i in range(3)]
    asked = {"weight": 1, **({"density": 0.4} if "ties" in method else {})}
    asked = {} if method == "model_stock" else asked
    base = {} if method == "linear" else {"base_model": str(tmp_path / "base")}
    models = [{"model": str(tmp_path / each)} for each in "ab"]
    recipe = {"merge_method": method, **base, "models": models, "parameters": asked}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    mergegraph.run(tmp_path / "r.yaml", out=tmp_path / "out")
    given_base = {} if method == "linear" else {"base": held[0]}
    merged = mergegraph.merge({"a": held[1], "b": held[2]}, method=method, **given_base, **asked)
    written = content_of(tmp_path / "out").tensors
    from hashlib import sha256

    found = {
        n: sha256(t.contiguous().view(-1).view(torch.uint8).numpy()) for n, t in merged.items()
    }
    assert {n: each.hexdigest() for n, each in found.items()} == {n: written[n] for n in found}


# -- nothing lost ----------------------------------------------------------------------------


@ONLY_LINUX
def test_killed_runs_end_in_the_same_bytes(nursery, tmp_path):
    scores = try_kills(tmp_path / "ring", nursery, minutes=1, seed=5, scenes=SMALL_SCENES, rounds=4)
    assert sum(each.results for each in scores.values()) == 4
    assert sum(each.kills for each in scores.values()) > 0


@ONLY_LINUX
def test_two_runs_on_one_output_end_in_one_result(nursery, tmp_path):
    outcome = try_rivals(
        tmp_path / "ring", nursery, minutes=1, seed=5, rounds=2, scenes=SMALL_SCENES[:1]
    )
    assert outcome.rounds == 2


class StoppedError(Exception):
    """An end in the midst of work."""


def stopped(job, after):
    """Do some strips of a job."""
    seen = iter(range(10**9))

    def progress(_read, _written):
        if next(seen) >= after:
            raise StoppedError

    with suppress(StoppedError):
        carry_out(job, progress)


@pytest.fixture
def unfinished(tmp_path):
    """A job that was stopped in the midst, what it left, and what it is to come to."""
    write_family(Family(odd=((40, 33),), dtypes=("float32",) * len(MODELS)), tmp_path / "models")
    recipe = {
        "merge_method": "ties",
        "base_model": str(tmp_path / "models" / "base"),
        "models": [{"model": str(tmp_path / "models" / each)} for each in "ab"],
        "parameters": {"weight": 1, "density": 0.3},
    }
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    job = Job("run", (str(tmp_path / "r.yaml"),), str(tmp_path / "out"), strip=200, every=1)
    carry_out(replace(job, out=str(tmp_path / "plain")))
    stopped(job, 36)
    (tmp_path / "out.partial").rename(tmp_path / "kept")
    return job, tmp_path / "kept", content_of(tmp_path / "plain")


def continued(job, kept, data):
    """What a job comes to that goes on with a journal; nothing else is left of the work."""
    out = Path(job.out)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(kept, out.with_name("out.partial"))
    (out.with_name("out.partial") / JOURNAL).write_bytes(data)
    carry_out(job)
    return content_of(out)


def test_a_journal_may_be_cut_anywhere(unfinished):
    """The campaign tries offsets at random; here every eleventh part, and all of the first line."""
    job, kept, wanted = unfinished
    data = (kept / JOURNAL).read_bytes()
    for cut in {0, 1, *range(2, len(data), len(data) // 11), len(data) - 1, len(data)}:
        found = continued(job, kept, data[:cut])
        assert not wanted.differences(found, is_placed_alike=True), cut


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_journal_is_not_trusted(unfinished, seed):
    job, kept, wanted = unfinished
    data = (kept / JOURNAL).read_bytes()
    (kept / "copy").write_bytes(data)
    damage(kept / "copy", Random(seed))
    damaged = (kept / "copy").read_bytes()
    (kept / "copy").unlink()
    found = continued(replace(job, threads=2), kept, damaged)
    assert not wanted.differences(found, is_placed_alike=True)


def test_a_journal_in_which_a_digit_changed_is_not_trusted(unfinished):
    job, kept, wanted = unfinished
    data = (kept / JOURNAL).read_bytes()
    place = data.rindex(b'"sha256": "') + 20
    digit = b"1" if data[place] != ord("1") else b"2"
    found = continued(job, kept, data[:place] + digit + data[place + 1 :])
    assert not wanted.differences(found, is_placed_alike=True)


def test_bytes_of_unfinished_tensors_that_changed_are_made_again(unfinished):
    """Of passes under way, what is on the disk is read again before work goes on."""
    job, kept, wanted = unfinished
    finished = read_journal(kept).finished
    file = next(kept.glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    length = int.from_bytes(data[:8], "little")
    for name, each in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__" and name not in finished:
            start, stop = each["data_offsets"]
            data[8 + length + start : 8 + length + stop] = b"\7" * (stop - start)
    file.write_bytes(data)
    found = continued(job, kept, (kept / JOURNAL).read_bytes())
    assert not wanted.differences(found, is_placed_alike=True)


def test_the_least_budget_is_enough_and_less_is_refused(unfinished):
    job, _, wanted = unfinished
    least = least_memory(replace(job, threads=1))
    carry_out(replace(job, memory=least))
    assert not wanted.differences(content_of(Path(job.out)), is_placed_alike=True)
    with pytest.raises(MergeGraphError, match="allow it --memory"):
        carry_out(replace(job, memory=int(least) // 2, out=f"{job.out}-2"))


# -- the page --------------------------------------------------------------------------------


def test_the_page_tells_every_part():
    figures = {p: Figures(f"All of {p}.", ("a", "b"), (("x", "1"),), "2026", 1, 0) for p in PARTS}
    text = page_text(figures, {"cores": "2"})
    assert all(f"All of {part}." in text for part in PARTS)
    assert "Not measured yet." in page_text({}, {})


def test_the_page_is_measured():
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert "Not measured yet." not in text, "run make reliability"


@ONLY_LINUX
def test_what_is_known_is_told_again(tmp_path):
    known = {"kills": Figures("All withstood.", ("scene",), (("small",),), "2026-01-01", 20, 3)}
    write_figures(tmp_path / "results.json", known)
    assert read_figures(tmp_path / "results.json") == known
    assert main(["--again", "--folder", str(tmp_path), "--write", str(tmp_path)]) == 0
    told = (tmp_path / "reliability.md").read_text()
    assert "All withstood. (2026-01-01, 20 min, seed 3)" in told
