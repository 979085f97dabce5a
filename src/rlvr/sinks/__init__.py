"""Sampled views of a run in other systems: one file per backend."""
