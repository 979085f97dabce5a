"""The viewer: recorded runs in a browser, served on this machine to its user alone."""
