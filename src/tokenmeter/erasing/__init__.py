"""Erasing one person from what was written: JSONL, Parquet, PostgreSQL, what was spilled.

Who is erased, and what is left of an event, is in `person`; a whole ledger is gone through in
`ledgers`, its files in `files` (in place, by `patches`), tables in `tables`.
"""
