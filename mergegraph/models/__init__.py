"""Models: tensors as named tasks, with what their formats and kinds ask for."""
