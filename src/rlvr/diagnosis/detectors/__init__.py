"""One file per question, with `detect(evidence)` and the codes of what it can say.

What several of them share, or what would make one too long, stands in files without `detect`.
"""
