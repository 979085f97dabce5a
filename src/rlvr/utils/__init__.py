"""Text and the helpers of the specification."""
