"""The methods, and parameters away from their defaults, that the general laws are tried with."""

from __future__ import annotations

from mergegraph_methods.arcee_fusion import arcee_fusion
from mergegraph_methods.breadcrumbs import breadcrumbs
from mergegraph_methods.breadcrumbs_ties import breadcrumbs_ties
from mergegraph_methods.cabs import cabs
from mergegraph_methods.dare_linear import dare_linear
from mergegraph_methods.dare_ties import dare_ties
from mergegraph_methods.della import della
from mergegraph_methods.della_linear import della_linear
from mergegraph_methods.ema import ema
from mergegraph_methods.iso_c import iso_c
from mergegraph_methods.iso_cts import iso_cts
from mergegraph_methods.karcher import karcher
from mergegraph_methods.knots import knots
from mergegraph_methods.linear import linear
from mergegraph_methods.magmax import magmax
from mergegraph_methods.model_stock import model_stock
from mergegraph_methods.multislerp import multislerp
from mergegraph_methods.nearswap import nearswap
from mergegraph_methods.nuslerp import nuslerp
from mergegraph_methods.sce import sce
from mergegraph_methods.slerp import slerp
from mergegraph_methods.star import star
from mergegraph_methods.swa import swa
from mergegraph_methods.task_arithmetic import task_arithmetic
from mergegraph_methods.ties import ties
from mergegraph_methods.tsv_merge import tsv_merge
from mergegraph_methods.wsm import wsm
from mergegraph_methods.wudi import wudi

# models equal to the base give the base, bit for bit; a shift of all shifts the result
ON_TASK_VECTORS = [
    (task_arithmetic, {"lambda": 0.4}),
    (ties, {}),
    (ties, {"density": 0.4, "rescale": True}),
    (dare_linear, {"density": 0.5}),
    (dare_ties, {"density": 0.5, "rescale": "l1"}),
    (della, {"density": 0.6}),
    (della_linear, {"density": 0.6}),
    (della, {"density": 0.6, "schedule": "paper", "group": "tensor"}),
    (della, {"density": 0.6, "score": "magnitude", "group": "tensor"}),
    (della_linear, {"density": 0.6, "score": "magnitude"}),
    (breadcrumbs, {"density": 0.5, "gamma": 0.2}),
    (breadcrumbs_ties, {"beta": 0.3, "gamma": 0.2}),
    (breadcrumbs, {"density": 0.7, "gamma": 0.3, "group": "row", "remove_first": False}),
    (sce, {}),
    (sce, {"select_topk": 0.5}),
    (sce, {"select_topk": 0.5, "select_scope": "weight"}),
    (cabs, {"n": 2, "m": 4}),
    (cabs, {"n": 2, "m": 7}),
    (magmax, {"lambda": 0.55}),
    (model_stock, {}),
    (model_stock, {"filter_wise": True}),
    (nuslerp, {}),
    (nuslerp, {"mode": "last"}),
    (nuslerp, {"mode": "first"}),
    (multislerp, {}),
    (multislerp, {"log_map": "exact"}),
    (nearswap, {"t": 0.5}),
    (tsv_merge, {}),
    (iso_c, {}),
    (iso_c, {"rank_tol": 0.1}),
    (iso_cts, {}),
    (iso_cts, {"fraction": 0.4}),
    (star, {}),
    (star, {"eta": 90.0}),
    (knots, {}),
    (knots, {"density": 0.6, "inner": "dare_ties"}),
    (knots, {"inner": "sum"}),
    (wudi, {"steps": 20}),
    (wudi, {"solver": "closed_form"}),
]
WITHOUT_BASE = [
    (linear, {}),
    (slerp, {"t": 0.3}),
    (swa, {"window": 2}),
    (ema, {"decay": 0.6}),
    (wsm, {"schedule": "cosine"}),
    (karcher, {}),
]
# models equal to the base give the base, and that is all
BESIDE_BASE = [
    (arcee_fusion, {}),
]
ALL = [*ON_TASK_VECTORS, *WITHOUT_BASE, *BESIDE_BASE]

# the order of models makes no difference
ORDERED = (slerp, cabs, magmax, karcher, swa, ema, wsm)  # karcher where models are opposites
# what is dropped at random depends on the place of a model
SYMMETRIC = [
    (method, values)
    for method, values in ALL
    if method not in ORDERED and values.get("inner") != "dare_ties"
]

# equal models give that model
ALL_EQUAL = [
    (linear, {}),
    (slerp, {"t": 0.3}),
    (swa, {"window": 2}),
    (ema, {"decay": 0.6}),
    (wsm, {"schedule": "cosine"}),
    (nuslerp, {}),
    (nuslerp, {"mode": "last"}),
    (nuslerp, {"mode": "first"}),
    (multislerp, {}),
    (multislerp, {"log_map": "exact"}),
    (karcher, {}),
    (model_stock, {}),
    (model_stock, {"filter_wise": True}),
    (ties, {}),
    (breadcrumbs_ties, {"normalize": True}),
    (sce, {}),
    (cabs, {"n": 3, "m": 3}),
    (magmax, {}),
]
