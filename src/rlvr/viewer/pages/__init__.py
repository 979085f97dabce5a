"""One file per page: what a URL asks of a run, as a `Page` of values."""
