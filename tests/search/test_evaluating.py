"""The commands evaluate and evaluators: tables, JSON, and models that cannot be examined."""

import json
from types import SimpleNamespace

import jsonschema
import pytest

from mergegraph import evaluator, hookimpl
from mergegraph.cli import main
from mergegraph.library import Library
from mergegraph.plugins import collect, installed_plugins
from mergegraph.search.candidates import OnDisk
from mergegraph.search.evaluating import Found, evaluated, table_text
from mergegraph.search.examining import read_examination
from mergegraph.settings import Settings
from mergegraph.testing import tiny_checkpoint

DEMO = "demo,problems=20"
SCHEMA = {
    "type": "object",
    "required": ["examinations", "results"],
    "additionalProperties": False,
    "properties": {
        "examinations": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["words", "data", "digest"],
                "properties": {
                    "words": {"type": "string"},
                    "evaluator": {"type": "string"},
                    "package": {"type": "string"},
                    "data": {"type": "string"},
                    "parameters": {"type": "object"},
                    "main": {"type": ["string", "null"]},
                    "lower_is_better": {"type": "array", "items": {"type": "string"}},
                    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                },
            },
        },
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["model", "examination", "scores", "problem", "seconds"],
                "properties": {
                    "model": {"type": "string"},
                    "examination": {"type": "string"},
                    "scores": {
                        "type": ["object", "null"],
                        "additionalProperties": {"type": "number"},
                    },
                    "problem": {"type": ["string", "null"]},
                    "seconds": {"type": "number"},
                },
            },
        },
    },
}


@pytest.fixture
def told(capsys):
    """What a command prints, and the status it ends with."""

    def carry_out(*words):
        try:
            main([*map(str, words)])
            status = 0
        except SystemExit as end:
            status = end.code or 0
        found = capsys.readouterr()
        return status, found.out, found.err

    return carry_out


def test_a_table_has_every_model_and_score(told):
    status, out, _ = told("evaluate", "demo:base", "demo:north", "-e", DEMO, "--quiet")
    head, base, north = out.splitlines()
    assert status == 0
    assert head.split() == [f"{DEMO}:validation", "north", "east", "south", "west", "average"]
    assert base.split()[0] == "demo:base"
    assert north.split()[1] == "100.0*"


def found(*models):
    examination = read_examination(DEMO, installed_plugins())
    return [Found(f"m{n}", examination, each, None, 0.0) for n, each in enumerate(models)]


def test_huge_scores_are_short():
    table = table_text(found({"a": 1e300, "b": 12.5}, {"a": 1.0, "b": 1e8}))
    assert [line.split()[1:] for line in table.splitlines()] == [
        ["a", "b"],
        ["1e+300*", "12"],
        ["1", "100000000*"],
    ]


def test_a_table_too_wide_is_turned_round_and_then_stacked():
    many = found({f"score {n}": n for n in range(60)}, {"score 0": 1.0})
    turned = table_text(many, 60).splitlines()
    assert len(turned) == 61
    assert turned[0].split()[1:] == ["m0", "m1"]
    assert turned[1].split() == ["score", "0", "0.000", "1.000*"]
    stacked = table_text(many, 30).splitlines()
    assert stacked[1:3] == ["m0", "  score 0  0.000"]
    assert len(stacked) == 1 + 2 * 61


def test_what_an_evaluator_writes_into_tensors_others_do_not_find():
    @evaluator(name="zeros", splits=("a", "b"))
    def zeros(model, data):
        """Set all to zero."""
        for each in model.tensors.values():
            each.zero_()
        return {"zeros": 1}

    plugins = collect([("own 1", SimpleNamespace(evaluators=hookimpl(lambda: [zeros])))])
    both = [read_examination("zeros", plugins), read_examination(DEMO, installed_plugins())]
    library = Library(installed_plugins().sources)
    first, second = evaluated("demo:north", lambda e: OnDisk(e, library, Settings()), both)
    assert "zeros on demo:north wrote into tensor" in first.problem
    assert second.scores["north"] == 100.0


def test_two_evaluators_are_two_tables(told):
    _, out, _ = told("evaluate", "demo:base", "-e", DEMO, "-e", f"{DEMO}:test", "--quiet")
    assert [table.split()[0] for table in out.split("\n\n")] == [
        f"{DEMO}:{e}" for e in ("validation", "test")
    ]


def test_a_model_that_cannot_be_examined_hides_no_other(told, tmp_path):
    tiny = tiny_checkpoint(tmp_path / "tiny")
    status, out, err = told("evaluate", "nix", tiny, "demo:base", "-e", DEMO, "--quiet")
    rows = [line.split()[-1] for line in out.splitlines()]
    assert status == 1
    assert rows[:3] == ["average", "-", "-"]
    assert float(rows[3]) > 0
    assert [line.partition(":")[0] for line in err.splitlines()] == ["nix", f"demo on {tiny}"]


def test_json_is_as_its_schema_says(told):
    status, out, _ = told("evaluate", "nix", "demo:base", "-e", DEMO, "--format", "json")
    found = json.loads(out)
    jsonschema.validate(found, SCHEMA)
    assert status == 1
    assert [each["scores"] is None for each in found["results"]] == [True, False]


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["demo:base"], "Missing option '--evaluator'"),
        (["demo:base", "-e", "dmeo"], "did you mean 'demo'"),
        (["demo:base", "-e", DEMO, "--format", "xml"], "--format xml: not one of text, json"),
    ],
)
def test_a_wrong_request_is_refused_before_work(told, words, fact):
    status, out, err = told("evaluate", *words)
    assert (status, out) == (2, "")
    assert fact in err


def test_what_is_installed_is_listed(told):
    _, out, _ = told("evaluators")
    assert {"demo", "lm_eval", "perplexity", "shell"} <= {
        line.split()[0] for line in out.splitlines() if line
    }


def test_one_evaluator_is_told_in_full(told):
    _, out, _ = told("evaluators", "demo")
    assert "chooses by validation, reports with test" in out
    assert "average, of which more is better" in out
    assert "problems  a whole number, between 1 and 2000, default 500" in out


def test_evaluators_are_json_too(told):
    _, out, _ = told("evaluators", "--format", "json")
    _, one, _ = told("evaluators", "shell", "--format", "json")
    assert json.loads(one) in json.loads(out)["evaluators"]


def test_an_evaluator_that_is_not_installed_is_refused(told):
    assert told("evaluators", "shel")[::2] == (
        2,
        "no evaluator 'shel' is installed; did you mean 'shell'?\n",
    )
