"""Mathematics with a python tool, for the verifiers library (0.1.5)."""
