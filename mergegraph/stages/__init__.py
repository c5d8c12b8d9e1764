"""Stages: one merge of a recipe, made into the tasks of its tensors."""
