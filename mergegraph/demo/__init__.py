"""A small trained family of models, to see what a merge does to what models can do."""
