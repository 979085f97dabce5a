"""One file per question. Each has `detect(evidence)` and the codes of what it can say."""
