"""The demonstration: a small policy, its task, and a run that ends in what a person wants."""
