"""Laws of breeding, attacked by random scores and kinships."""

from __future__ import annotations

from itertools import chain, pairwise
from math import isnan

from hypothesis import given
from hypothesis import strategies as st

from mergegraph.breed.members import Birth
from mergegraph.breed.topk import EARLY, LAST, SAME, Rules, generations

scores = st.one_of(st.none(), st.floats(-1, 1), st.just(float("nan")), st.sampled_from([0.0, 0.5]))


@st.composite
def runs(draw):
    """A whole run: what is found of models is drawn when it is first asked for."""
    known, kin = {}, {}
    bound = draw(st.one_of(st.none(), st.floats(-1, 1)))
    rules = Rules(
        k=draw(st.integers(2, 4)),
        explores=draw(st.booleans()),
        from_top=draw(st.booleans()),
        is_kin=None if bound is None else lambda mean: mean > bound,
        max_generations=draw(st.integers(1, 5)),
    )

    def examine(births):
        for each in births:
            assert each.name not in known, "nothing is examined twice"
            assert set(each.parents) <= known.keys()
            known[each.name] = draw(scores)
        return [known[each.name] for each in births]

    def kinships(pairs):
        for pair in map(frozenset, pairs):
            if pair not in kin:
                kin[pair] = draw(st.one_of(st.none(), st.floats(-1, 1)))
        return [kin[frozenset(pair)] for pair in pairs]

    foundation = [Birth(name, 0) for name in "abcd"[: draw(st.integers(2, 4))]]
    return rules, known, kin, list(generations(foundation, rules, examine, kinships))


def _is_number(score):
    return score is not None and not isnan(score)


@given(runs())
def test_top_is_the_best_of_all_there_were_the_older_first(run):
    rules, known, _, found = run
    pool = []
    for each in found:
        pool += [birth.name for birth in each.births if _is_number(known[birth.name])]
        wanted = sorted(pool, key=lambda name: -known[name])[: rules.k]
        assert [member.name for member in each.top] == wanted


@given(runs())
def test_no_pair_is_merged_twice(run):
    births = chain.from_iterable(each.births for each in run[3])
    pairs = [frozenset(each.parents) for each in births if each.parents]
    assert len(pairs) == len(set(pairs))
    assert all(len(each) == 2 for each in pairs)


@given(runs())
def test_exploration_joins_the_best_with_the_least_akin(run):
    rules, _, kin, found = run
    for before, now in pairwise(found):
        for each in now.births:
            if each.explores:
                best, other = each.parents
                assert rules.explores
                assert best == before.top[0].name
                assert kin[frozenset(each.parents)] is not None
                assert other not in [birth.name for birth in now.births]
                assert not rules.from_top or other in [member.name for member in before.top]


@given(runs())
def test_last_generation_alone_says_why_it_is_the_last(run):
    rules, _, _, found = run
    assert all(each.stopped is None for each in found[:-1])
    last = found[-1]
    assert last.stopped in (EARLY, SAME, LAST)
    assert last.number <= rules.max_generations
    if last.stopped == EARLY:
        assert rules.is_kin(last.kinship)


@given(runs())
def test_scores_of_the_best_never_fall(run):
    best = [each.top[0].score for each in run[3] if each.top]
    assert best == sorted(best)
