"""A small client of Parley: resumes, resends, closes gaps, backs off. See docs/protocol.md."""

from parley_client.client import Client, Rejected
from parley_client.frames import Event, Frame, Signal
from parley_client.rest import Problem, Rest

__all__ = ["Client", "Event", "Frame", "Problem", "Rejected", "Rest", "Signal"]
