"""Trajectories to Arrow and JSON, and back, exactly."""
