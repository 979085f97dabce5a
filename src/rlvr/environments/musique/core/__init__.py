"""MuSiQue without a framework: data, tools, rewards, prompts."""
