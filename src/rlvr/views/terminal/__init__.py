"""Views for a terminal: functions from values to Rich renderables, plain where no terminal is.

Whatever a model, a tool or a data set wrote goes through `text.untrusted`, never through markup.
"""
