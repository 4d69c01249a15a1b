"""The wire seam: one file per HTTP stack, and what they share.

`claim` keeps stacked seams from counting twice, `encodings` undoes content encodings on a private
copy, `sse` and `body` find in a body what a dialect wants to see.
"""
