"""The laboratory makes recipes into candidates, out of one reading, and examines each once."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from mergegraph import evaluator, hookimpl, pipeline
from mergegraph.errors import RunError
from mergegraph.plugins import collect, installed_plugins
from mergegraph.search.compiling import Asked
from mergegraph.search.examining import read_examination
from mergegraph.search.laboratory import Laboratory
from mergegraph.settings import Settings

SEEN = []


@evaluator(splits=("some", "others"), main="sum")
def sums(model, data):
    """The sum of all entries; what was examined is noted."""
    if any(each.isnan().any() for each in model.tensors.values()):
        raise ValueError("not a number")
    SEEN.append((model.name, {name: each.clone() for name, each in model.tensors.items()}))
    return {"sum": sum(each.double().sum().item() for each in model.tensors.values())}


@evaluator(splits=("some", "others"), main="bytes")
def sizes(model, data):
    """The bytes of its files."""
    SEEN.append((model.name, model.directory))
    return {"bytes": sum(each.stat().st_size for each in model.directory.rglob("*.safetensors"))}


@evaluator(splits=("some", "others"))
def spoils(model, data):
    """Write into tensors."""
    next(iter(model.tensors.values())).add_(1)
    return {"x": 1}


@pytest.fixture(scope="module")
def plugins():
    own = collect(
        [("own 1.0", SimpleNamespace(evaluators=hookimpl(lambda: [sums, sizes, spoils])))]
    )
    return replace(
        installed_plugins(), evaluators=own.evaluators, evaluator_packages=own.evaluator_packages
    )


@pytest.fixture(autouse=True)
def _clean():
    SEEN.clear()


@pytest.fixture
def models(checkpoint):
    a = checkpoint("a", w=[[1.0, 2.0], [3.0, 4.0]], v=[1.0, 1.0])
    return a, checkpoint("b", w=[[5.0, 6.0], [7.0, 8.0]], v=[0.0, 2.0])


@pytest.fixture
def laboratory(plugins, tmp_path):
    made = []

    def make(memory="64MiB", **options):
        settings = Settings(memory=memory, threads=1)
        made.append(Laboratory(plugins, settings, scratch=tmp_path / "lab", **options))
        return made[-1].__enter__()

    yield make
    for each in made:
        each.__exit__()


def asked(name, models, *weights, more=""):
    lines = [
        f"- {{model: {m}, parameters: {{weight: {w}}}}}"
        for m, w in zip(models, weights, strict=True)
    ]
    return Asked(name, "\n".join(["merge_method: linear", "models:", *lines, more]))


def exam(plugins, words="sums"):
    return read_examination(words, plugins)


def test_candidates_have_the_bytes_that_a_run_writes(laboratory, models, plugins, tmp_path):
    recipes = [asked("half", models, 1, 1), asked("more", models, 1, 3, more="dtype: bfloat16")]
    laboratory().scores(recipes, exam(plugins))
    for each, (name, tensors) in zip(recipes, SEEN, strict=True):
        path = tmp_path / f"{each.name}.yaml"
        path.write_text(each.text)
        pipeline.run(path, out=tmp_path / name)
        written = load_file(tmp_path / name / "model.safetensors")
        assert written.keys() == tensors.keys()
        assert all(torch.equal(written[key], tensors[key]) for key in written)


def test_equal_results_are_examined_once(laboratory, models, plugins):
    lab = laboratory()
    same = [
        asked("one", models, 1, 1),
        asked("two", models, 2, 2),
        asked("one again", models, 1, 1),
    ]
    found = lab.scores([same[0], same[2]], exam(plugins))
    found += lab.scores([same[2]], exam(plugins))
    assert [each.is_repeated for each in found] == [False, True, True]
    assert len(SEEN) == 1
    assert len({each.key for each in found}) == 1


def test_what_is_known_is_not_made(laboratory, models, plugins):
    first = laboratory().scores([asked("one", models, 1, 1)], exam(plugins))[0]
    known = laboratory(known={first.key: first.scores})
    assert known.scores([asked("one", models, 1, 1)], exam(plugins))[0].scores == first.scores
    assert len(SEEN) == 1


def test_other_data_is_another_examination(laboratory, models, plugins):
    lab = laboratory()
    for words in ("sums:some", "sums:others"):
        lab.scores([asked("one", models, 1, 1)], exam(plugins, words))
    assert len(SEEN) == 2


def test_one_that_cannot_be_made_hides_no_other(laboratory, models, plugins):
    recipes = [
        asked("bad", models, 1, "much"),
        asked("good", models, 1, 1),
        asked("lost", ["nowhere", models[0]], 1, 1),
    ]
    found = laboratory().scores(recipes, exam(plugins))
    assert [each.scores is not None for each in found] == [False, True, False]
    assert "bad.yaml:4:" in found[0].problem
    assert "no such directory" in found[2].problem


def test_one_that_overflows_hides_no_other(laboratory, models, plugins):
    recipes = [
        asked("good", models, 1, 1),
        asked("big", models, 3e38, 0, more="parameters: {normalize: false}"),
        asked("other", models, 1, 2),
    ]
    found = laboratory().scores(recipes, exam(plugins))
    assert [each.scores is not None for each in found] == [True, False, True]
    assert "infinite" in found[1].problem


def test_an_examination_that_fails_is_told(laboratory, checkpoint, plugins):
    model = checkpoint("nan", w=[[float("nan")]])
    text = f"merge_method: passthrough\non_nonfinite: propagate\nmodels: [{{model: {model}}}]"
    found = laboratory().scores([Asked("nan", text)], exam(plugins))[0]
    assert found.problem == "sums on nan failed: ValueError: not a number"


def test_an_evaluator_that_writes_into_tensors_ends_all(laboratory, models, plugins):
    """Others have these tensors too, and would be scored by what it left of them."""
    with pytest.raises(RunError, match=r"spoils on one wrote into tensor .*have it change a copy"):
        laboratory().scores([asked("one", models, 0.5, 0.5)], exam(plugins, "spoils"))


def test_what_does_not_fit_is_written_and_gone_after(laboratory, checkpoint, plugins, tmp_path):
    wide = [
        checkpoint(name, w=torch.full((1024, 4096), value))
        for name, value in (("a", 1.0), ("b", 2.0))
    ]
    told = []
    recipes = [asked(f"n{i}", wide, 1, i) for i in range(1, 7)]
    found = laboratory("20MiB", say=told.append).scores(recipes, exam(plugins, "sizes"))
    assert [each.problem for each in found] == [None] * 6
    assert "written to disk to be examined" in told[0]
    assert not any(path.exists() for _, path in SEEN)
    with laboratory() as roomy:
        assert [each.scores for each in roomy.scores(recipes, exam(plugins, "sizes"))] == [
            each.scores for each in found
        ]


def test_one_that_cannot_be_written_leaves_nothing(laboratory, checkpoint, plugins, tmp_path):
    wide = [checkpoint(name, w=torch.full((1024, 4096), 1.0)) for name in "ab"]
    lab = laboratory("20MiB")
    bad = asked("bad", wide, 3e38, 3e38, more="parameters: {normalize: false}")
    found = lab.scores([bad, asked("good", wide, 1, 2)], exam(plugins, "sizes"))
    assert [each.scores is not None for each in found] == [False, True]
    assert found[0].problem.startswith("bad: ")
    assert "candidates" not in found[0].problem
    assert not list(lab._folder.iterdir())


def test_models_and_candidates_are_examined_with_as_many_cores(laboratory, models, plugins):
    cores = []

    @evaluator(splits=("some", "others"), main="cores")
    def counting(model, data):
        cores.append(torch.get_num_threads())
        return {"cores": 1}

    own = collect([("own 1.0", SimpleNamespace(evaluators=hookimpl(lambda: [counting])))])
    own = replace(plugins, evaluators=own.evaluators, evaluator_packages=own.evaluator_packages)
    lab = laboratory()
    lab.scores([asked("one", models, 1, 1)], exam(own, "counting"))
    lab.score(str(models[0]), exam(own, "counting"))
    assert cores == [1, 1]


def test_tensors_that_did_not_change_are_not_computed_again(laboratory, models, plugins):
    lab = laboratory()
    weight = "weight: [{filter: w, value: %d}, {value: 1}]"
    texts = [
        Asked(f"n{i}", asked("", models, 1, 1).text.replace("weight: 1", weight % i, 1))
        for i in (1, 2)
    ]
    lab.scores(texts[:1], exam(plugins))
    before = dict(lab._maker._kept)
    lab.scores(texts[1:], exam(plugins))
    assert len(before) == 2
    assert len(lab._maker._kept) == 3


def test_many_at_once_give_the_same_scores(laboratory, models, plugins):
    recipes = [asked(f"n{i}", models, 1, i) for i in range(1, 9)]
    one = laboratory().scores(recipes, exam(plugins))
    many = laboratory(parallel=4).scores(recipes, exam(plugins))
    assert [each.scores for each in one] == [each.scores for each in many]


def test_a_recipe_that_writes_elsewhere_is_refused(laboratory, models, plugins):
    text = asked("", models[:1], 1, more="name: x\nout: there").text
    text += "\n---\n" + asked("", ["x"], 1).text
    found = laboratory().scores([Asked("two", text)], exam(plugins))[0]
    assert found.problem == "two.yaml: writes there, too; leave 'out' out of a search"


def test_a_model_that_is_there_is_examined(laboratory, models, plugins):
    found = laboratory().score(str(models[0]), exam(plugins))
    assert found.scores == {"sum": 12.0}
    lost = laboratory().score("nowhere", exam(plugins))
    assert lost.scores is None
    assert "no such directory" in lost.problem
