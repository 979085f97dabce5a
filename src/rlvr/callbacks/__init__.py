"""Callbacks for trainers built on transformers."""
