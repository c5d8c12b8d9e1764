"""Holes are found where values stand, and filled without touching anything else."""

from __future__ import annotations

import pytest

from mergegraph import MergeGraphError
from mergegraph.evolve.genes import rounded
from mergegraph.recipe import parse_recipe
from mergegraph.recipe.source import read_documents


def filled(space, text, share=None, **values):
    """The text at the start, or at a share of every gene, but for genes with given coordinates."""
    made = space(text)
    given = [
        values.get(each.name.replace(".", "_"), each.start if share is None else each.within(share))
        for each in made.genes
    ]
    return made.filled(tuple(given)).text


def test_all_else_stays_as_it_is(space):
    text = "# a\nt: {search: [0, 1]}   # b\n\nw:\n  search: [2, 4]\n  name: x\n# c\nz: 1\n"
    assert filled(space, text) == "# a\nt: 0.5   # b\n\nw: 3.0\n# c\nz: 1\n"


def test_numbers_are_rounded_before_they_are_examined(space):
    assert filled(space, "t: {search: [0, 1]}", share=1 / 3) == "t: 0.333333"
    assert rounded(123456.789) == 123457


@pytest.mark.parametrize(
    ("hole", "starts", "ends"),
    [
        ("[0, 1]", "0.5", "1.0"),
        ("[0.01, 1], log: true", "0.1", "1.0"),
        ("[0, 1], step: 0.25", "0.5", "1.0"),
        ("[1, 5], integer: true", "3", "5"),
        ("[1, 1000], integer: true, log: true", "32", "1000"),
        ("[0, 4000], integer: true", "2000", "4000"),
        ("[0, 1], start: 0.2", "0.2", "1.0"),
        ("[0.1, 0.5, 0.7]", "0.5", "0.7"),
        ("{choices: [0.1, 0.9]}", "0.9", "0.9"),
        ("[a, b, c], start: b", "b", "c"),
        ("[true, false]", "true", "false"),
        ("['no', \"1e-3\"]", "'no'", '"1e-3"'),
        ("[0, 1], layers: 3", "[0.5, 0.5, 0.5]", "[1.0, 1.0, 1.0]"),
        ("[0, 1], groups: 2, of: 3", "[0.5, 0.5, 0.5]", "[1.0, 1.0, 1.0]"),
        ("weight, negative: true", "1.0", "2.0"),
        ("density", "1.0", "1.0"),
    ],
)
def test_what_may_be_searched(space, hole, starts, ends):
    text = f"t: {{search: {hole}}}\n"
    assert filled(space, text) == f"t: {starts}\n"
    assert filled(space, text, share=1.0) == f"t: {ends}\n"


def test_groups_are_constant_and_layers_go_from_one_anchor_to_the_next(space):
    text = "t: {search: [0, 1], groups: 2, of: 5}"
    assert filled(space, text, t_1=0.2, t_2=0.8) == "t: [0.2, 0.2, 0.2, 0.8, 0.8]"
    assert filled(space, "t: {search: [0, 1], layers: 2}", t_1=0.2, t_2=0.8) == "t: [0.2, 0.8]"


@pytest.mark.parametrize(
    ("recipe", "count"),
    [
        ("models: [{model: demo:north}]\n", 6),
        ("base_model: demo:base\n", 6),
        ("slices: [{sources: [{model: a, layer_range: [1, 4]}]}]\n", 3),
        ("name: x\nmodels: [{model: y}]\n---\nname: y\nbase_model: demo:base\n", 6),
    ],
)
def test_groups_are_spread_over_the_layers_there_are(space, recipe, count):
    first, *others = recipe.split("---\n")
    text = "---\n".join([f"{first}parameters: {{t: {{search: [0, 1], groups: 2}}}}\n", *others])
    assert filled(space, text).count("0.5") == count


def test_equal_names_and_aliases_are_one_gene(space):
    named = "{search: [0, 1], name: x}"
    text = f"a: {named}\nb: {named}\nc: &c {{search: [2, 4]}}\nd: *c\n"
    made = space(text)
    assert [each.name for each in made.genes] == ["x", "c"]
    found = read_documents("r", made.filled((0.25, 0.5)).text)[0].data
    assert found == {"a": 0.25, "b": 0.25, "c": 3.0, "d": 3.0}


def test_only_given_names_are_shared(space):
    text = "m: [{model: a, w: {search: [0, 1]}}, {model: a, w: {search: [0, 1]}}]"
    assert [e.name for e in space(text).genes] == ["m.a.w", "m.a.w #2"]
    with pytest.raises(MergeGraphError, match="'a' is what another hole is called by its place"):
        space("a: {search: [0, 1]}\nb: {search: [0, 1], name: a}")


@pytest.mark.parametrize("words", ["[0, 1000000000000], integer: true", "[0, 1], step: 0.0001"])
def test_many_steps_are_no_list(space, words):
    assert space(f"t: {{search: {words}}}").genes[0].levels is None


def test_letters_of_any_alphabet_may_stand_before(space):
    text = "# 😀 größer\r\nt: {search: [0, 1]}  # ✓\n".replace("\r\n", "\n")
    assert filled(space, text) == "# 😀 größer\nt: 0.5  # ✓\n"


def test_genes_are_called_by_what_they_are_about(space):
    text = (
        "models:\n  - model: demo:north\n    parameters: {weight: {search: [0, 1]}}\n"
        "parameters: {density: {search: [0, 1], layers: 2}}\n"
    )
    assert [e.name for e in space(text).genes] == ["demo:north.weight", "density.1", "density.2"]


BLOCKS = """base_model: b
<<:
  search:
    - merge_method: ties   # the first
      parameters:
        density: {search: [0, 1]}
    - {merge_method: linear, parameters: {weight: 1}}
dtype: float32
"""


def test_a_choice_of_blocks_brings_its_own_keys(space):
    first, second = filled(space, BLOCKS), filled(space, BLOCKS, block=1)
    assert first == (
        "base_model: b\nmerge_method: ties   # the first\nparameters:\n  density: 0.5\n"
        "dtype: float32\n"
    )
    assert second == (
        "base_model: b\nmerge_method: linear\nparameters: {weight: 1}\ndtype: float32\n"
    )


def test_what_is_not_chosen_has_no_say(space):
    made = space(BLOCKS)
    assert made.filled((1, 0.1)).values == {"block": "linear"}
    assert made.filled((1, 0.1)).text == made.filled((1, 0.9)).text


def test_blocks_may_stand_in_braces(space):
    text = "x: {<<: {search: [{a: 1, b: 2}, {a: 3}]}, c: 4}"
    assert filled(space, text) == "x: {a: 1, b: 2, c: 4}"


SUBSET = """models:
  search:
    subset:
      - model: a
        parameters:
          weight: {search: [0, 1]}
      - {model: b}  # the second
      - model: c
    least: 1
    most: 2
dtype: float32
"""


def test_a_subset_is_a_list_of_those_that_are_in(space):
    made = space(SUBSET)
    assert [each.name for each in made.genes][:3] == ["models.a", "models.b", "models.c"]
    found = made.filled((0.9, 0.1, 0.8, 0.25)).text
    assert found == (
        "models:\n  - model: a\n    parameters:\n      weight: 0.25\n  - model: c\ndtype: float32\n"
    )


def test_a_subset_keeps_within_its_bounds(space):
    made = space(SUBSET)
    assert made.filled((0.1, 0.2, 0.3, 0)).values == {
        "models.a": False,
        "models.b": False,
        "models.c": True,
    }
    assert "model: b" not in made.filled((0.9, 0.6, 0.7, 0)).text


@pytest.mark.parametrize(
    "text",
    [
        "m: [{a: 1}, {search: {subset: [{a: 2}, {a: 3}]}}]",
        "m:\n  - {a: 1}\n  - {search: {subset: [{a: 2}, {a: 3}]}}\n",
        "m:\n  - a: 1\n  - search:\n      subset:\n        - a: 2\n        - a: 3\n",
    ],
)
def test_a_subset_may_stand_among_others(space, text):
    found = read_documents("r", filled(space, text, share=0.9))[0].data
    assert found == {"m": [{"a": 1}, {"a": 2}, {"a": 3}]}


NOTHING = "{search: {subset: [{a: 1}, {a: 2}], least: 0}}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"m: [{NOTHING}, x]\n", "m: [x]\n"),
        (f"m: [x, {NOTHING}]\n", "m: [x]\n"),
        (f"m: [x, {NOTHING}, y]\n", "m: [x, y]\n"),
        (f"m: [{NOTHING}, {NOTHING}]\n", "m: []\n"),
        (f"m: [\n  {NOTHING} # c\n  , # d\n  x]\n", "m: [\n   # d\n  x]\n"),
        (f"m:\n  - {NOTHING}  # c\n  - x\n", "m:\n  - x\n"),
        (f"m:\n  - x\n  - {NOTHING}\nz: 1\n", "m:\n  - x\nz: 1\n"),
        (f"m:\n- {NOTHING}\n- {NOTHING}\nz: 1\n", "m:\n []\nz: 1\n"),
        (f"m:\n  - - {NOTHING}\n    - x\n", "m:\n  - \n    - x\n"),
    ],
)
def test_a_subset_of_nothing_leaves_nothing_in_its_list(space, text, told):
    assert filled(space, text, share=0.0) == told


@pytest.mark.parametrize(
    "nested", ["    - - model: a\n      - model: b\n    -\n      - model: a\n"]
)
def test_a_choice_may_be_a_list_of_lines(space, nested):
    text = f"m:\n  search:\n{nested}p: 1\n"
    found = [read_documents("r", filled(space, text, m=each))[0].data for each in (0, 1)]
    assert found == [
        {"m": [{"model": "a"}, {"model": "b"}], "p": 1},
        {"m": [{"model": "a"}], "p": 1},
    ]


def test_anchors_within_what_is_chosen_stay_with_it(space):
    text = "m:\n  search:\n    - {a: &w 1, b: *w}\n    - x: &v\n        y: 1\n      z: *v\n"
    found = [read_documents("r", filled(space, text, m=each))[0].data["m"] for each in (0, 1)]
    assert found == [{"a": 1, "b": 1}, {"x": {"y": 1}, "z": {"y": 1}}]


def test_what_is_anchored_on_its_own_lines_keeps_its_columns(space):
    text = "m: &v\n  search:\n    - y: 1\n      x: 2\n    - a\nn: *v\n"
    assert filled(space, text) == "m: &v\n  y: 1\n  x: 2\nn: *v\n"


def test_numbers_are_within_what_is_searched(space):
    text = "t: {search: [0.12345678, 0.98765432]}"
    assert filled(space, text, share=0.0) == "t: 0.123457"
    assert filled(space, text, share=1.0) == "t: 0.987654"


def test_a_choice_may_be_a_model_with_holes_of_its_own(space):
    text = (
        "models:\n  - model: a\n  - search:\n      - model: b\n        parameters:\n"
        "          weight: {search: [0, 1]}\n      - {model: c}\nz: 1\n"
    )
    found = read_documents("r", filled(space, text))[0].data
    assert found["models"][1] == {"model": "b", "parameters": {"weight": 0.5}}
    other = read_documents("r", filled(space, text, models_2=1))[0].data
    assert other == {"models": [{"model": "a"}, {"model": "c"}], "z": 1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("t: {search: [1, 0]}", "r.yaml:1:13: [1, 0] is no range; the lower number comes first"),
        ("t: {search: [0, 1], lg: 1}", "1:21: unknown key 'lg' of a hole; did you mean 'log'?"),
        ("t: {search: [0, 1], log: true}", "log: 0 has no logarithm; begin above 0"),
        ("t: {search: [0.5, 1], integer: true}", "are not whole numbers"),
        ("t: {search: [0, 1], step: 0.3}", "step 0.3 does not end at 1"),
        ("t: {search: [0, 1], step: 1.0e-9}", "step 1e-09 is too small"),
        ("t: {search: {path: [{model: a, layers: [0, 999999999]}]}}", "[first, one after"),
        ("t: {search: [0, 1], start: 2}", "start 2 is no number from 0 to 1"),
        ("t: {search: [0, 1], log: 3}", "log is true or false"),
        ("t: {search: [a]}", "a choice is a list of two things and more"),
        ("t: {search: [a, a]}", "stands among the choices twice"),
        ("t: {search: [a, b], start: c}", "start is none of the choices"),
        ("t: {search: weigth}", "nothing can be searched in 'weigth'"),
        ("t: {search: {subst: [a, b]}}", "did you mean 'subset'?"),
        ("t: {search: {subset: [a, b], most: 3}}", "there are 2"),
        ("t: {search: [0, 1], groups: 2, layers: 2}", "give one of them"),
        ("t: {search: [0, 1], groups: 2}", "say it beside groups, as of: 24"),
        ("t: {search: [0, 1], groups: 4, of: 3}", "of: 3 is the number of layers"),
        ("<<: {search: [0, 1]}", "'<<' takes a choice between mappings"),
        ("a: {search: [0, 1], name: x}\nb: {search: [0, 2], name: x}", "2:4: 'x' is searched in"),
        ("t: {search: {path: [{model: a, layers: [2, 1]}]}}", "[first, one after the last]"),
        ("t: {search: {path: [{model: a, layers: [0, 1]}], scales: [0, 1]}}", "both above 0"),
        ("models: 5\nd: {search: [0, 1], groups: 2}", "2:4: over how many layers its groups go"),
        ("t: {search: [0, 1], search: [2, 3]}", "r.yaml:1:21: 'search' is given twice"),
        ("t: {search: {subset: [a, b], most: 1, most: 2}}", "1:39: 'most' is given twice"),
        ("t: {search: [0.12345678, 0.12345679]}", "holds no two numbers of 6 digits"),
        ("t: {search: [1, 1.0001], step: 0.000001}", "less than numbers of 6 digits can differ"),
        (
            "a: {search: [0, 1], name: w}\nb: {search: [0, 1], name: w, groups: 2, of: 2}",
            "2:4: 'w'",
        ),
        ("a: {search: {subset: [a, b]}, name: w}\nb: {search: {subset: [c, d]}, name: w}", "'w'"),
        ("a: {search: [&w 1, 2, 3]}\nb: *w", "2:4: the anchor 'w' stands in a hole, and is used"),
        ("t: {search: [{a: &w x}, {b: *w}]}", "the anchor 'w' stands in a hole"),
        ("a: [&s {search: {subset: [a, b]}}]\nb: *s", "is of a part of a list that becomes many"),
        ("t: 1", "has no holes; put {search: [low, high]} where a value is to be found"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(space, text, told):
    with pytest.raises(MergeGraphError) as error:
        space(text)
    assert told in str(error.value)


def test_a_recipe_with_holes_is_not_merged(space):
    text = "merge_method: {search: [a, b]}\nmodels: [{model: {search: [x, y]}}]\n"
    problems = parse_recipe("r.yaml", text, {}).problems
    fact = "a hole stands here, which mergegraph evolve fills; a merge needs a value"
    assert [str(each) for each in problems] == [f"r.yaml:1:16: {fact}", f"r.yaml:2:19: {fact}"]


def test_names_may_be_the_word(space):
    text = "merge_method: x\nmodules: {search: {models: [{model: a}]}}\n"
    assert not any("hole" in e.fact for e in parse_recipe("r", text, {}).problems)
    with pytest.raises(MergeGraphError, match="has no holes"):
        space(text)


def test_a_setting_fills_a_hole(space):
    from mergegraph.plugins import installed_plugins

    text = "merge_method: linear\nmodels: [{model: a}]\nparameters: {weight: {search: [0, 1]}}\n"
    known = installed_plugins().methods
    assert not parse_recipe("r", text, known, ["parameters.weight=0.5"]).problems


def test_what_is_anchored_elsewhere_is_chosen_by_its_alias(space):
    text = "k: &v\n  y: &w 1\n  z: *w\nm: {search: [{a: 2}, *v]}\n<<: {search: [*v, {y: 1}]}\n"
    assert filled(space, text, m=1) == "k: &v\n  y: &w 1\n  z: *w\nm: *v\n<<: *v\n"


def test_an_alias_takes_no_anchor(space):
    text = "k: &v {y: 1}\nm: &m {search: [{a: 2}, *v]}\nn: *m\n"
    assert filled(space, text, m=1) == "k: &v {y: 1}\nm: &m {y: 1}\nn: *m\n"


def test_lines_are_not_chosen_in_braces(space):
    text = "m:\n  search:\n    - &v\n      y: 1\n    - a\nn: {search: [*v, b]}\n"
    with pytest.raises(MergeGraphError, match="6:14: the anchor 'v' stands in a hole"):
        space(text)
