from __future__ import annotations

import pytest

from app.adapters.origins import origin_is_good, plain_origin


@pytest.mark.parametrize(
    ("origin", "host", "good"),
    [
        (None, "chat.example", True),
        ("https://chat.example", "chat.example", True),
        ("HTTPS://Chat.Example:443", "chat.example", True),
        ("http://chat.example:8000", "chat.example:8000", True),
        ("http://chat.example:8000", "chat.example", False),
        ("https://listed.example", "chat.example", True),
        ("https://evil.example", "chat.example", False),
        ("null", "null", False),
    ],
)
def test_where_a_page_comes_from(origin: str | None, host: str, good: bool) -> None:
    assert origin_is_good(origin, host, (plain_origin("https://Listed.example:443"),)) is good
