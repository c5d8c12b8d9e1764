"""Merging models that are in memory."""
