"""The commands evaluate and evaluators: tables, JSON, and models that cannot be examined."""

import json

import jsonschema
import pytest

from mergegraph.cli import main
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
