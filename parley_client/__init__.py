"""A small client of Parley: resumes, resends, closes gaps, backs off. See docs/protocol.md."""

from parley_client.client import Client, Rejected
from parley_client.rest import Problem, Rest

__all__ = ["Client", "Problem", "Rejected", "Rest"]
