"""What the core asks of the world, in the core's words: a file for each counterpart.

Each method states its guarantee, order, bounds, units and errors, and what the caller owes. Where a port
stands before a server it has an embedded implementation too, which is a product choice, and one contract suite
(tests/contracts) runs over both.
A port that holds something open is `Held`: `start` and `close` are its own, so nobody asks which implementation it is. What
is read and written in the store shares one database, which is held for all of it; policies and tokens hold nothing.
"""
