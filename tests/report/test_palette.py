"""The palette: text can be read on every ground, in light and in dark."""

from __future__ import annotations

import pytest

from mergegraph.report.palette import (
    KINDS,
    RAMPS,
    STEPS,
    contrast,
    plain,
    ramp_of,
    readable_on,
    step_of,
)

TEXT, SHAPES = 4.5, 3.0  # what WCAG asks for


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("ground", ["paper", "card", "wash"])
def test_texts_stand_out(ground, is_dark):
    for ink in ("ink", "soft", "accent"):
        assert contrast(plain(ink, is_dark=is_dark), plain(ground, is_dark=is_dark)) >= TEXT


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("ramp", RAMPS)
def test_numbers_can_be_read_in_every_cell(ramp, is_dark):
    assert all(contrast(readable_on(c), c) >= TEXT for c in ramp_of(ramp, is_dark=is_dark))


@pytest.mark.parametrize("is_dark", [False, True])
def test_lines_of_every_kind_stand_out(is_dark):
    card = plain("card", is_dark=is_dark)
    assert all(contrast(plain(f"kind{i}", is_dark=is_dark), card) >= SHAPES for i in range(KINDS))


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("ramp", ["cool", "warm"])
def test_more_is_ever_farther_from_the_ground(ramp, is_dark):
    card = plain("card", is_dark=is_dark)
    found = [contrast(each, card) for each in ramp_of(ramp, is_dark=is_dark)]
    assert found == sorted(found)


def test_steps_end_with_the_ramp():
    assert [step_of(v, -1, 1) for v in (-9, -1, 0, 1, 9)] == [
        0,
        0,
        STEPS // 2,
        STEPS - 1,
        STEPS - 1,
    ]
    assert step_of(5, 3, 3) == 0
