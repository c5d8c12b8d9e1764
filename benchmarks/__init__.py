"""Whole merges measured: mergegraph beside a floor and beside mergekit, judged by targets."""
