"""What evaluators have in common: texts, programs, models of transformers."""
