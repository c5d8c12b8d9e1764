"""Genes: what is drawn of values and scores, also of those that some trials lack."""

from __future__ import annotations

from samples import evolved, written

from mergegraph.report.sections.genes import gene_pillars, is_numeric, score_pillar
from mergegraph.search.record import read_record


def found_in(folder, record):
    return read_record(written(folder, record))


def told_ends(folder, *, lower, scores):
    """What is written below and above the axis of scores."""
    name = {"name": "loss", "is_lower_better": lower}
    record = evolved(len(scores), objectives=(name,), best=[], reported={})
    for each, score in zip(record["trials"], scores, strict=True):
        each |= {"scores": {"loss": score}, "problem": None}
    found = found_in(folder, record)
    return score_pillar(found.objectives[0], found.trials)


def test_scores_below_zero_keep_their_sign(tmp_path):
    pillar = told_ends(tmp_path, lower=False, scores=[-7.0, -2.0, -3.0])
    assert (pillar.ends, pillar.shares[:2]) == (("−7", "−2"), [0.0, 1.0])


def test_the_best_score_is_on_top_also_where_less_is_better(tmp_path):
    pillar = told_ends(tmp_path, lower=True, scores=[-1.0, 4.0])
    assert (pillar.ends, pillar.shares) == (("4", "−1"), [1.0, 0.0])


def test_a_gene_that_some_trials_do_not_use_stays_a_number(tmp_path):
    record = evolved(6)
    for each in record["trials"][::2]:
        del each["genes"]["weight"]
    found = found_in(tmp_path, record)
    assert is_numeric(found.genes[0], found.trials)
    weight = gene_pillars(found, found.trials)[0]
    assert [share is None for share in weight.shares] == [True, False] * 3
    assert weight.ends == ("0", "1")


def test_a_gene_that_no_trial_uses_is_drawn_empty(tmp_path):
    record = evolved(4)
    for each in record["trials"]:
        del each["genes"]["weight"]
    found = found_in(tmp_path, record)
    assert not is_numeric(found.genes[0], found.trials)
    assert gene_pillars(found, found.trials)[0].shares == [None] * 4
