"""Reading recorded runs."""
