"""The function seam: functions that are model calls, and functions that run inside a block.

`metered` is for what no wire seam sees: a local pipeline, an in-house agent client, gRPC, a
subprocess. `inside` is what makes `attribute` a decorator.
"""
