"""Trainers that record."""
