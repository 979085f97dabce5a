"""The bounded queue between a training run and its store, and the fence around both."""
