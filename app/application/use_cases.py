"""What a door is given: the verbs of one process. A door translates, and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from app.application.answers import Answers
from app.application.assistants import Assistants
from app.application.background import Background
from app.application.bots import Bots
from app.application.chats import Chats
from app.application.explain import Explain
from app.application.hub.hub import Hub
from app.application.identity import Identity
from app.application.invitations import Invitations
from app.application.keys import KeyRing
from app.application.members import Members
from app.application.messages import Messages
from app.application.operators import Operators
from app.application.ports.limits import Limiter
from app.application.profiles import Profiles
from app.application.prompts import Prompts
from app.application.read_marks import ReadMarks
from app.application.recovery import Recovery
from app.application.search import MessageSearch
from app.application.server import Server
from app.application.sign_in import SignIn
from app.application.sockets import Sockets
from app.application.strangers import Strangers
from app.application.submit import Submitter
from app.application.typing_signal import TypingSignal
from app.domain.errors import rate_limited


@dataclass(slots=True)
class UseCases:
    """draining: nothing new is begun. background: for what a socket starts and doesn't wait for."""

    identity: Identity
    sign_in: SignIn
    keys: KeyRing
    bots: Bots
    recovery: Recovery
    invitations: Invitations
    server: Server
    profiles: Profiles
    operators: Operators
    submitter: Submitter
    chats: Chats
    members: Members
    messages: Messages
    answers: Answers
    assistants: Assistants
    prompts: Prompts
    search: MessageSearch
    read_marks: ReadMarks
    typing: TypingSignal
    explain: Explain
    sockets: Sockets
    hub: Hub
    limiter: Limiter
    strangers: Strangers
    background: Background
    draining: bool = False

    def count_request(self, user_id: str) -> None:
        """Raises ParleyError where it is one too many."""
        retry_after_ms = self.limiter.request(user_id)
        if retry_after_ms is not None:
            raise rate_limited("too many requests", retry_after_ms)

    def count_read(self, user_id: str) -> None:
        """Raises ParleyError where reads before it are not paid for yet."""
        retry_after_ms = self.limiter.read(user_id)
        if retry_after_ms is not None:
            raise rate_limited("too much was read", retry_after_ms)
