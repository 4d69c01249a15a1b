"""Reports: ledgers in, tables out; each report is one SQL text, whoever runs it.

One file for each report (`usage`, `tasks`, …), one for each engine (`engines`), one for each way
a result looks (`output`). Reports read ledgers, never a meter.
"""
