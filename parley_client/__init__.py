"""A small client of Parley: resumes, resends, closes gaps, backs off. See docs/protocol.md."""

from parley_client.client import Client, Refused, Rejected
from parley_client.frames import Event, Frame, Signal
from parley_client.rest import Problem, Rest, SignedOut, Unanswered

__all__ = ["Client", "Event", "Frame", "Problem", "Refused", "Rejected", "Rest", "Signal", "SignedOut", "Unanswered"]
