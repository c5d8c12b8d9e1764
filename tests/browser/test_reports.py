"""Reports in a real browser: they load alone, on any width, and can be read in light and dark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browsers import View, any_browser
from samples import ACCURACY, PERPLEXITY, bred, evolved, written

from mergegraph.cli import main
from mergegraph.testing import tiny_family

ROOT = Path(__file__).parent.parent.parent
REAL = Path(__file__).parent / "records"  # of searches for merges of the demo family
RECORDS = sorted(each.stem for each in REAL.glob("*.json"))
SHOTS = ROOT / "build" / "reports"
EVIL = "<script>executed=1</script><img src=x onerror=executed=1>"
MANY = """
merge_method: dare_ties
base_model: models/base
models: [{model: models/tuned-1}, {model: models/tuned-2}, {model: models/tuned-3}]
parameters:
  weight: [0.1, 1, 0.4]
  density: [{filter: mlp, value: [0.2, 0.5, 0.9]}, {filter: self_attn, value: 0.3}, {value: 0.5}]
"""
READ, ENOUGH = 4.5, 360  # contrast of text, and the width of a phone
VIEWS = [View(1200), View(1200, is_dark=True), View(ENOUGH, is_dark=True)]


@pytest.fixture(scope="module")
def browser():
    found = any_browser()
    if found is None:
        pytest.skip("needs Chromium or Chrome, or the extra browser")
    yield found
    found.close()


def done(arguments):
    """Carry out a command, which is to come to a good end."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report of everything there is to draw, by name."""
    root = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        tiny_family(root / "models", 3, layers=24, hidden=16)
        (root / "many.yaml").write_text(MANY)
        pareto = evolved(40, (ACCURACY, PERPLEXITY), best=[5, 6, 20])
        hostile = evolved(parents={EVIL: {"accuracy": 0.3}}, recipe=EVIL)
        for name, record in (("evolved", evolved(60)), ("pareto", pareto), ("hostile", hostile)):
            written(root / name, record)
        written(root / "bred", bred(6))
        for path in REAL.glob("*.json"):
            written(root / path.stem, json.loads(path.read_text(encoding="utf-8")))
        for name, target in {
            "recipe": str(ROOT / "recipes" / "ties.yaml"),
            "generations": str(ROOT / "recipes" / "generations.yaml"),
            "layers": "many.yaml",
            **{name: name for name in ("evolved", "pareto", "bred", "hostile", *RECORDS)},
        }.items():
            done(["report", target, "--out", f"{name}.html", "--quiet"])
        run = ["--out", "made", "--report", "run.html", "--quiet", "--threads", "2"]
        done(["run", str(ROOT / "recipes" / "ties.yaml"), *run])
    return root


NAMES = ["recipe", "generations", "layers", "run", "evolved", "pareto", "bred", "hostile", *RECORDS]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_can_be_read_as_it_is(browser, pages, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    for view in VIEWS:
        colours = "dark" if view.is_dark else "light"
        shot = SHOTS / f"{name}-{view.width}-{colours}.png"
        seen = browser.look(pages / f"{name}.html", view, shot)
        found, where = seen.found, (name, view)
        assert "failed" not in found, (where, found)
        assert (seen.errors, seen.requests, found["loaded"]) == ([], [], []), where
        assert found["executed"] is None, where
        assert found["overflow"] <= 0, where
        assert found["svgs"] > 0, where
        assert (found["silent"], found["unnamed"], found["broken"]) == (0, 0, 0), where
        assert found["cut"] == [], where
        assert found["contrast"][0] >= READ, (where, found["contrast"])
        assert found["faint"][0] >= READ, (where, found["faint"])
        assert (sum(found["ground"]) < 300) == view.is_dark, where
        assert found["png"] > 0, where
        assert found["csv"].count("\n") > 1, where
        assert shot.stat().st_size > 0, where
