"""What trackers and forges export, read as statements about tasks.

Files become rows (`rows`), a layout says what stands where in them (`layouts`), and each row
becomes a statement, a problem, or nothing (`statements`); what reverts something else is in
`reverts`. Only reading: where the statements go is said elsewhere.
"""
