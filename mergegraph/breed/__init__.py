"""Populations of models: merged over generations, into soups, in rounds of contributions."""
