"""The demo's sums: how they are demonstrated, learnt and measured."""
