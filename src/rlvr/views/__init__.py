"""Values to renderables."""
