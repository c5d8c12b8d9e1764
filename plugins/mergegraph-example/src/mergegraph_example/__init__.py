"""A merge method from outside: the median of models, written as anyone would."""
