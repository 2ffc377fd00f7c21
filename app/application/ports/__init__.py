"""What the core asks of the world, in the core's words: a file for each counterpart.

Each method states its guarantee, order, bounds, units and errors, and what the caller owes. Every port has an embedded
implementation that is a product choice, and one on a real server; one contract suite (tests/contracts) runs over both.
What a port's implementation holds open it opens at its first use or when its tasks start, and gives back in `close`.
"""
