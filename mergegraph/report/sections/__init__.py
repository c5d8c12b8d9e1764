"""Sections of a page, each made of the data that it shows."""
