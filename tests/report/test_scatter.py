"""Scatter: names stand beside their dots, and touch neither each other nor the edge."""

from __future__ import annotations

import re

from mergegraph.report.curves import Dot
from mergegraph.report.scatter import Pillar, parallel, scatter


def test_names_of_near_dots_do_not_touch_and_are_not_cut():
    spots = [Dot(x, y, "", name=f"demo:{x}") for x, y in ((50, 40), (52, 41), (100, 30), (0, 0))]
    found = re.findall(
        r'<text x="([\d.]+)" y="([\d.]+)"[^>]*halo">', scatter("s", spots, ("a", "b"))
    )
    places = [(float(x), float(y)) for x, y in found]
    assert len(places) == len(spots)
    assert all(x + 50 < 560 for x, _ in places)
    (x1, y1), (x2, y2) = places[:2]
    assert abs(x1 - x2) > 50 or abs(y1 - y2) >= 12


def test_long_names_of_axes_take_turns_on_two_lines():
    pillars = [Pillar(f"demo:model-{i}.weight", [0.5], ("0", "1")) for i in range(9)]
    told = parallel("p", pillars, [1.0], [0], str)
    assert all(f"demo:model-{i}.weight</text>" in told for i in range(9))
    assert float(re.search(r'width="(\d+)"', told)[1]) <= 1001
