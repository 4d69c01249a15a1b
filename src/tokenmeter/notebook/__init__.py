"""Notebooks: what a cell, an experiment and a long loop cost, shown where one works.

Experiments, comparisons and progress work anywhere; only `magics` needs IPython. A view is a
`Table` of `tables`, which is plain text in a terminal and HTML with inline SVG elsewhere.
"""
