"""MuSiQue without a framework: examples, loading, retrieval, prompts and rewards."""
