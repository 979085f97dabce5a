"""Mathematics with a python tool: problems, the tool, the reward."""
