"""What a text may be, what is seen of it, and how texts are compared: one set of rules for every door and every store.

Unicode's own lists decide, through libraries (`regex` for properties and scripts, `emoji` for the list of emoji).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import NamedTuple

import regex

from app.domain.errors import Code, ParleyError

TITLE_MAX = 200
NAME_MAX = 100


_NOTHING_TO_SEE = regex.compile(r"[\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]*")
"""White space, control and format characters, what is ignored by default (Hangul fillers, selectors), the blank braille
pattern."""


def check_text(value: str, what: str = "text") -> str:
    """Text that every store and every client can hold: no NUL, no lone surrogate. Raises ParleyError `invalid`."""
    if "\x00" in value:
        raise ParleyError(Code.INVALID, f"{what} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ParleyError(Code.INVALID, f"{what} holds a lone surrogate") from None
    return value


def is_silent(value: str) -> bool:
    """Whether it leaves nothing to see."""
    if value.isascii() and value.isprintable() and not value.isspace():  # the usual text, at C's speed
        return not value
    return _NOTHING_TO_SEE.fullmatch(value) is not None


def check_body(body: str, body_max: int, what: str = "body") -> str:
    """A message's text, or another (what it is called). body_max: in code points. Raises ParleyError `too_large`, `invalid`,
    `empty`."""
    if len(body) > body_max:
        raise ParleyError(Code.TOO_LARGE, f"{what} is longer than {body_max} characters")
    check_text(body, what)
    if is_silent(body):
        raise ParleyError(Code.EMPTY, f"{what} has nothing to see in it")
    return body


def clean_name(name: str, most: int, what: str = "name") -> str:
    """A name of a person or a chat as it is stored: trimmed, in NFC, of at most so many code points. Raises ParleyError
    `invalid`, `empty`."""
    made = unicodedata.normalize("NFC", check_text(name, what)).strip()
    if is_silent(made):
        raise ParleyError(Code.EMPTY, f"{what} has nothing to see in it")
    if len(made) > most:
        raise ParleyError(Code.INVALID, f"{what} takes at most {most} characters")
    return made


_PRETENDS = regex.compile(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s:()@]+")


def spoken_by(display_name: str, username: str, body: str) -> str:
    """A person's words under their name, as a model is given them in a group. Nobody's words look like another's: the username
    is unique, a display name can't end the name that is shown, and all lines but the first are set in."""
    shown = _PRETENDS.sub(" ", display_name).strip()
    return f"{shown} (@{username}): {set_in(body)}"


def set_in(body: str) -> str:
    """All lines but the first: none of them begins as somebody's words do."""
    return "\n  ".join(regex.split(r"\r\n|[\n\r\v\f\x85\u2028\u2029]", body))


def folded(text: str) -> str:
    """What two texts have in common that differ in case, form or width alone: by it they are compared. Marks stay with
    their letters, but for the dot above an i, which İ leaves behind."""
    made = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return made.replace("i\u0307", "i")


def password_forms(password: str) -> tuple[str, ...]:
    """The form that is hashed (NFC) first, then those that an older hash may be of: as typed, and NFD."""
    forms = (unicodedata.normalize("NFC", password), password, unicodedata.normalize("NFD", password))
    return tuple(dict.fromkeys(forms))


# Emoji


@cache
def _emoji() -> dict[str, str]:
    """Without variation selectors → fully qualified; of Unicode's list, but for components."""
    import emoji  # 5,000 entries, for who reacts

    qualified = emoji.STATUS["fully_qualified"]
    return {
        text.replace("\ufe0f", ""): text for text, about in emoji.EMOJI_DATA.items() if about["status"] == qualified
    }


def emoji_of(value: str) -> str | None:
    """The one emoji that it is, in its fully qualified form; None where it is none, or more than one."""
    return _emoji().get(value.replace("\ufe0f", "")) if len(value) <= 16 else None


# Words that are searched for

_UNSPACED = (
    r"[[\p{L}\p{N}]&&[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]]"
)
_WORD = regex.compile(rf"(?P<run>(?:{_UNSPACED}\p{{M}}*+)++)|(?:[[\p{{L}}\p{{N}}]--{_UNSPACED}]\p{{M}}*+)++", regex.V1)
_PLAIN_WORD = regex.compile(r"[\p{L}\p{N}]++")
_ASCII_WORD = re.compile("[a-z0-9]+")
_NOT_PLAIN = regex.compile(rf"[{_UNSPACED}\p{{M}}]", regex.V1)
_IGNORED = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_LETTER = regex.compile(r"\X")
_CHUNK = re.compile(r"\S+")
TERM_MAX = 64
PLACES_MAX = 200


class Word(NamedTuple):
    """A word as it is compared: letters, digits and the marks on them. Of scripts that are written without spaces, or
    whose words carry endings (`is_run`), any run of letters is one; each letter holds its marks there, else the letters
    are one piece."""

    letters: tuple[str, ...]
    is_run: bool

    @property
    def terms(self) -> list[str]:
        """What an index holds of it, each without white space and of at most 64 code points: the word's beginning, or each two
        letters."""
        first, *more = self.letters
        if not more:
            return [first[:TERM_MAX]]
        return [(one + two)[:TERM_MAX] for one, two in zip(self.letters, more, strict=False)]


def _searched(text: str) -> str:
    return _IGNORED.sub("", folded(text))


def _words(searched: str) -> Iterator[tuple[int, Word]]:
    """(where it begins, the word)"""
    if searched.isascii() or _NOT_PLAIN.search(searched) is None:  # what is written with spaces, at C's speed
        for found in _PLAIN_WORD.finditer(searched):
            yield found.start(), Word((found[0],), False)
        return
    for match in _WORD.finditer(searched):
        word = match[0]
        yield match.start(), Word(tuple(_LETTER.findall(word)), True) if match["run"] else Word((word,), False)


def words(text: str) -> tuple[Word, ...]:
    """Each once, in their order."""
    return tuple(dict.fromkeys(word for _, word in _words(_searched(text))))


def terms(text: str) -> set[str]:
    """What an index holds of a text: where all words of a query are in it, all their terms are."""
    if text.isascii():
        return {word[:TERM_MAX] for word in _ASCII_WORD.findall(text.lower())}
    return {term for word in set(words(text)) for term in word.terms}


def places(text: str, wanted: Sequence[Word], most: int = PLACES_MAX) -> list[list[int]] | None:
    """[start, length] in code points of the first places where these words stand, in order; None where one of them stands
    nowhere."""
    found: set[tuple[int, int]] = set()
    missing = set(wanted)
    parts = {one: _joined(one) for one in wanted}
    for chunk in _CHUNK.finditer(text):
        if len(found) >= most and not missing:
            break
        here = _searched(chunk[0])
        near = [word for word in wanted if "".join(word.letters) in here]
        if near:
            made_of = _made_of(chunk[0])
            for start, word in _words(here):
                letters = _joined(word)
                for one in near:
                    if one.is_run != word.is_run or (len(one.letters) == 1 and len(word.letters) > 1):
                        continue
                    for begin, end in _in_word(letters, parts[one], len(one.letters)):
                        missing.discard(one)
                        if len(found) >= most:
                            break
                        first, last = made_of[start + begin][0], made_of[start + end - 1][1]
                        found.add((chunk.start() + first, last - first))
    return None if missing else [list(place) for place in sorted(found)]


_BETWEEN = "\0"


def _joined(word: Word) -> str:
    return _BETWEEN.join(("", *word.letters, ""))


def _in_word(letters: str, part: str, count: int) -> Iterator[tuple[int, int]]:
    """[begin, end) of each place of the part, of so many letters, in the word, in its own code points."""
    seen, marks, place = 0, 0, letters.find(part)
    while place >= 0:
        marks += letters.count(_BETWEEN, seen, place)
        seen = place
        yield place - marks, place - marks + len(part) - count - 1
        place = letters.find(part, place + 1)


def _made_of(text: str) -> list[tuple[int, int]]:
    """Of each code point of its searched form: where what it was made of begins and ends in the text."""
    if text.isascii():
        return [(place, place + 1) for place in range(len(text))]
    return [letter.span() for letter in _LETTER.finditer(text) for _ in _of_letter(letter[0])]


@lru_cache(maxsize=4096)
def _of_letter(letter: str) -> str:
    return _searched(letter)


_BYTES_A_TOKEN = 3.5
_TOKENS_A_TURN = 4


_MORE = " …"


def tokens_of(text: str) -> int:
    """An estimate, on the safe side for most models: 3.5 bytes of UTF-8 a token (English has about 4.2, Chinese 3 to 4.5 by
    today's vocabularies, code about 3.3), and 4 for what marks a turn."""
    return _TOKENS_A_TURN + int(len(text.encode()) / _BYTES_A_TOKEN)


def cut_to(text: str, tokens: int) -> str:
    """Its beginning, where it has more tokens, as estimated."""
    if tokens_of(text) <= tokens:
        return text
    size = max(0, int((tokens - _TOKENS_A_TURN) * _BYTES_A_TOKEN) - len(_MORE.encode()))
    return text.encode()[:size].decode(errors="ignore") + _MORE


def whole_characters(text: str) -> str:
    """What programs cut in two is put together, and what can't be is replaced; no NUL."""
    return text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# Who is called by a text

USERNAME_MAX = 32
CALLS_MAX = 50
_ITEM = regex.compile(r"(?: {0,3}(?:[-*+]|\d{1,9}[.)])[ \t]+)*")
_FENCE = regex.compile(r"[ \t]*(`{3,}(?!.*`)|~{3,})")
_SPAN = regex.compile(r"(?<!`)(`++)(?:(?!\n[ \t]*\n).)*?(?<!`)\1(?!`)", regex.S)
_LINK = regex.compile(
    r"!?+\[[^\[\]\n]{0,999}+\]\([^()\n]{0,2000}+\)|<[^<>\s]{1,2000}+>|(?<![\w+.-])[a-z][a-z0-9+.-]{0,30}+://\S++"
    r"|(?<![\w.-])(?:www\.|mailto:)\S++",
    regex.I,
)
_WRITTEN_WITHOUT_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_CALL = regex.compile(
    rf"(?<![@/]|[\w--[{_WRITTEN_WITHOUT_SPACES}]][.+\-]?)@([a-z0-9][a-z0-9_.\-]*+)"
    rf"(?![@/]|:[\p{{L}}\p{{N}}]|[\w--[{_WRITTEN_WITHOUT_SPACES}]])",
    regex.I | regex.V1,
)
"""What is repeated in these is possessive, or bounded: a text that is made for it costs no more than another."""


def calls(text: str) -> list[tuple[str, ...]]:
    """Each `@name` as a word of its own, in order, as the names (in lower case) that may be meant: itself, and without the
    stops behind it. Not in code, quotes, links, addresses of mail, or other services' handles; the first 50 different ones."""
    if "@" not in text:
        return []
    found: dict[tuple[str, ...], None] = {}
    for match in _CALL.finditer(_LINK.sub(" ", _SPAN.sub(" ", _prose(text)))):
        name = match.group(1).lower()
        least = len(name.rstrip("._-"))
        if least <= USERNAME_MAX:
            found[tuple(name[:end] for end in range(min(len(name), USERNAME_MAX), least - 1, -1))] = None
        if len(found) == CALLS_MAX:
            break
    return list(found)


def called(text: str, names: Collection[str]) -> list[str]:
    """Those of the names that are called (`calls`), in the order in which they are."""
    found = (next((name for name in meant if name in names), None) for meant in calls(text))
    return list(dict.fromkeys(name for name in found if name is not None))


def _prose(text: str) -> str:
    """The lines that are neither a quote nor a block of code, as CommonMark has them."""
    kept: list[str] = []
    fence, blank, indented = "", True, False
    for line in text.splitlines():
        item = _ITEM.match(line) if not fence else None
        opens = _FENCE.match(line, item.end() if item else 0)
        if fence:
            if opens and opens.group(1).startswith(fence) and not line[opens.end() :].strip():
                fence = ""
            blank = indented = False
            kept.append("")
            continue
        indented = line.startswith(("    ", "\t")) and (blank or indented)
        blank = not line.strip()
        if opens and not indented:
            fence = opens.group(1)
        elif not indented and not line.lstrip(" ").startswith(">"):
            kept.append(line)
            continue
        kept.append("")
    return "\n".join(kept)


@lru_cache(maxsize=4096)
def rfc3339(at: datetime) -> str:
    """UTC with milliseconds: 2026-01-31T12:00:00.000Z"""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def rfc3339_or_none(at: datetime | None) -> str | None:
    return rfc3339(at) if at is not None else None
