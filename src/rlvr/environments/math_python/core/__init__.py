"""Problems, prompts, the tool and the reward: no framework in it."""
