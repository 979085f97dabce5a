"""The demo's two-hop questions: how they are demonstrated, learnt and measured."""
