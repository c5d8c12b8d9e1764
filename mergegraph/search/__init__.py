"""Searches: which of many merges is best, by examinations of models."""
