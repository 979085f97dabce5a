"""What a question reads of a recorded run, put together for `rlvr.analysis` to answer.

Columns of all rollouts, and the messages of the few that are shown. The command line and the viewer
ask here alike; nothing here prints or draws.
"""
