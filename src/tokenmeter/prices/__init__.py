"""Prices: what a usage costs, by the dated price of the model and tier that served it.

A book of prices finds the rates of a model on a day (`Book`); rates give the amount for an event
(`Rates`); `Pricing` asks books in their order, remembers what they said for a day, and says a
`Cost` with its source, version and date, or with the reason why there is none.

=====================  ===========================================================================
``genai_prices``       the book that comes as a package, the extra ``prices``
``files``              a file of one's own, in TOML
``tiers``              what vendors document of tiers and regions, as factors
=====================  ===========================================================================

A new book is a class with `Book`'s one method; `configure(prices=[…])` takes it.
"""

from tokenmeter.prices.books import Asked, Book, Factor, NoPrice, Origin
from tokenmeter.prices.pricing import Pricing
from tokenmeter.prices.rates import Rates, Step, compiled

__all__ = ["Asked", "Book", "Factor", "NoPrice", "Origin", "Pricing", "Rates", "Step", "compiled"]
