"""Where rollouts are sampled: inside the training process, or on a vLLM server."""
