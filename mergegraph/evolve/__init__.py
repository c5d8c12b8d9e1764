"""Recipes with holes, and the search for what to put there."""
