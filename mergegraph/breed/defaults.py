"""The methods that papers on populations of models merge with; the one place that names any."""

PAIR = "slerp"  # of two models, half way: arXiv:2410.12613
PAIR_VALUES = {"t": 0.5}
AVERAGE = "linear"  # of soups and of rounds: arXiv:2203.05482, arXiv:2212.01378
