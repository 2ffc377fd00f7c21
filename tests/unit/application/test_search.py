"""Words of a query, and where they stand."""

from __future__ import annotations

import pytest

from app.application.search import highlights, words_of
from app.domain.errors import ParleyError


def test_words_and_where_they_stand() -> None:
    assert words_of("Tea, tea & größe-2") == ("Tea", "tea", "größe", "2")
    assert highlights("tea TEA steal Größe", ("tea", "größe")) == [[0, 3], [4, 3], [14, 5]]
    for bad in ("", "…", " ".join(f"w{n}" for n in range(21))):
        with pytest.raises(ParleyError, match="invalid"):
            words_of(bad)
