"""Adapters: small changes of a model, stored beside it; in PEFT's format."""
