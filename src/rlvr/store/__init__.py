"""The layout of a run on disk, and its writer."""
