"""Scheduling: a plan as a straight line of passes within a budget."""
