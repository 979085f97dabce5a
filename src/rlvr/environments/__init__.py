"""Tasks: data, tools, rewards and prompts, and their bindings to training frameworks."""
