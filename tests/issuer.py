"""An issuer of tokens for tests: its keys, what it signs, and a small HTTP server of its documents. Of PKCE pages the real
providers are asked (`tests/scenarios/test_provider.py`, `make identity`)."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "parley"
HOST, HOST_SECRET = "https://shop.example.org", "a secret that the shop and the chat share, long enough"


class SigningKey:
    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    @cached_property
    def jwk(self) -> dict[str, Any]:
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": _b64(numbers.n), "e": _b64(numbers.e)}

    @cached_property
    def pem(self) -> str:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _b64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode().rstrip("=")


class Signer:
    """Signs as an issuer: `claims` over what a good access token has; None leaves one out."""

    def __init__(self, issuer: str, kid: str = "k1") -> None:
        self.issuer = issuer
        self.keys = [SigningKey(kid)]

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.jwk for key in self.keys]}

    def sign(
        self, subject: str = "s-1", key: Any = None, algorithm: str = "RS256", headers: Any = None, **claims: Any
    ) -> str:
        now = int(time.time())
        made = {"iss": self.issuer, "sub": subject, "aud": AUDIENCE, "iat": now, "exp": now + 600} | claims
        made = {name: value for name, value in made.items() if value is not None}
        head = {"kid": self.keys[0].kid} | (headers or {})
        return jwt.encode(made, self.keys[0].private if key is None else key, algorithm=algorithm, headers=head)

    def logout_token(self, audience: str, **claims: Any) -> str:
        events: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        return self.sign(**({"aud": audience, "jti": str(uuid.uuid4()), "events": events} | claims))


class Issuer(Signer):
    """The same with its documents on loopback. asked: the paths that were asked for."""

    def __init__(self) -> None:
        handler = self._handler()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        super().__init__(f"http://127.0.0.1:{self._server.server_port}")
        self.asked: list[str] = []
        self.down = False
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                documents = {"/.well-known/openid-configuration": issuer.document, "/jwks": issuer.jwks}
                body = json.dumps(documents.get(self.path, {})).encode()
                self.send_response(503 if issuer.down else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    @property
    def settings(self) -> str:
        """As `ISSUERS` has it, with a host beside."""
        company = {
            "issuer": self.issuer, "client_id": "chat", "claims": {"role": "groups"}, "operator": "chat-operators",
            "attributes": ["department"],
        }  # fmt: skip
        shop = {"issuer": HOST, "host": True, "secret": HOST_SECRET}
        return json.dumps({"company": company, "shop": shop})

    @staticmethod
    def minted(subject: str, **claims: Any) -> str:
        """By the host."""
        return Signer(HOST).sign(subject, key=HOST_SECRET, algorithm="HS256", **claims)

    @property
    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
