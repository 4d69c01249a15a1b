"""What users need to test their own metering: a local server that speaks like the vendors.

`ModelServer` answers like a model and keeps the account of what it really used, `Answer` and
`Gate` script what a vendor does only rarely, `Served` is one line of the account. The real small
model is in `tokenmeter.testing.llm`.
"""

from tokenmeter.testing.answers import Answer, Gate, Served
from tokenmeter.testing.server import ModelServer

__all__ = ["Answer", "Gate", "ModelServer", "Served"]
