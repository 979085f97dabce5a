"""MuSiQue: multi-hop question answering with a retrieve tool."""
