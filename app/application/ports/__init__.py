"""What the core asks of the world, in the core's words: a file for each counterpart.

Each method states its guarantee, order, bounds, units and errors, and what the caller owes. Every port has an embedded
implementation that is a product choice, and one on a real server; one contract suite (tests/contracts) runs over both.
What a port's implementation holds open it opens in `start` and closes in `close`; both may be called once.
"""
