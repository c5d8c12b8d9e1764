"""What the promises of mergegraph withstand: the same bytes, and nothing lost, under attack."""
