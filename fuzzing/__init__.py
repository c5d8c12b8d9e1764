"""Files made to break readers, and a judge of what becomes of them: `python -m fuzzing`."""
