"""What others write can do nothing in a reader's page: no dialog, no request to elsewhere, no style, no other page."""

from __future__ import annotations

import re

import httpx2
from playwright.sync_api import expect

from stack.parley import ROOT
from tests.web.visitor import Visitor, Visits
from tests.world import PASSWORD, new_id

AWAY = "https://evil.example"
HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", f"<img src='{AWAY}/a.png'>", f"![a]({AWAY}/pixel.png)",
    f"![a]({AWAY}/pixel.png \"t\" onerror=alert(1))", "[a](javascript:alert(1))", "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))", "[a](&#106;avascript:alert(1))", "[a](data:text/html,<script>alert(1)</script>)",
    "[a](vbscript:msgbox(1))", "<a href='javascript:alert(1)'>click</a>", "<svg onload=alert(1)>", "<svg><script>alert(1)</script></svg>",
    "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>", f"<style>body{{background:url({AWAY}/css)}}</style>",
    f"<link rel=stylesheet href={AWAY}/x.css>", f"<iframe src='{AWAY}'></iframe>", "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    f"<form action='{AWAY}'><input name=password></form>", f"<meta http-equiv=refresh content='0;url={AWAY}'>", f"<base href='{AWAY}/'>",
    f"<video src='{AWAY}/v' autoplay></video>", f"<audio src='{AWAY}/v' autoplay></audio>", f"<object data='{AWAY}'></object>",
    f"<embed src='{AWAY}'>", f"<body background='{AWAY}/b.png'>", f"<table background='{AWAY}/b.png'><tr><td>x</td></tr></table>",
    f"<div style='background:url({AWAY}/s)'>x</div>", "<details open ontoggle=alert(1)>x</details>", "<input autofocus onfocus=alert(1)>",
    f"[ref]: {AWAY}/ref\n![x][ref]", f"<{AWAY}/auto>", f"![x](<{AWAY}/space in it>)", "`<script>alert(1)</script>`",
    "```html\n<script>alert(1)</script>\n```", "```\" onmouseover=alert(1) x=\"\ncode\n```", "```<img src=x onerror=alert(1)>\ncode\n```",
    "$\\href{javascript:alert(1)}{x}$", f"$\\includegraphics{{{AWAY}/tex.png}}$", "$$\\htmlStyle{background:url(https://evil.example)}{x}$$",
    "$\\def\\a{\\a\\a}\\a$", "```mermaid\ngraph TD; A[<img src=x onerror=alert(1)>]-->B; click A href \"javascript:alert(1)\"\n```",
    "\u202egnp.exe\u202c reversed", "a\u2066b\u2069c \u200b\u200bzero \u2060width", "\u0000".replace("\u0000", "\u0001") + " control",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324" * 40, "#" * 300, "> " * 200 + "deep", "- " * 150 + "deep", "*" * 2_000,
    "[" * 1_500, "(" * 1_500 + "](" * 200, "|" + "a|" * 300 + "\n|" + "-|" * 300, "```\n" + "x" * 7_000, "**unfinished", "[unfinished](http", "`unfinished",
    "<!-- unfinished", "<![CDATA[ x ]]>", "&lt;script&gt;alert(1)&lt;/script&gt;", "{{constructor.constructor('alert(1)')()}}", "${alert(1)}",
    "x" * 7_900, "https://evil.example/" + "a" * 2_000, "mailto:x@evil.example?body=<script>", "//evil.example/relative",
]  # fmt: skip
NAMES = [
    "<b onmouseover=alert(1)>Eve</b>",
    "\u202eneB\u202c",
    "Anna\u200b",
    "Anna\u2066",
    "</title><script>alert(1)</script>",
    f"![a]({AWAY}/n.png)",
    "A" * 100,
]


def quiet(visitor: Visitor) -> None:
    """Nothing ran, nothing came in, nobody is elsewhere."""
    page = visitor.page
    assert page.url.startswith(visitor.url)
    bad = page.evaluate(
        """() => [...document.querySelectorAll("article *")].flatMap((one) => {
          const found = [];
          if (/^(script|iframe|object|embed|form|base|meta|link|style|video|audio|input)$/i.test(one.tagName)) found.push(one.tagName);
          for (const { name, value } of one.attributes) {
            if (/^on/i.test(name) || /^\\s*(javascript|vbscript|data:text)/i.test(value)) found.push(name);
            if (name === "src" && !value.startsWith("data:image/svg+xml")) found.push(value);
            if (name === "style" && !one.closest(".katex, .avatar") && !/--hue/.test(value)) found.push(`style ${value}`);
          }
          if (one.tagName === "A" && one.closest(".body") && (one.target !== "_blank" || !/noopener/.test(one.rel))) found.push("link");
          return found;
        })"""
    )
    assert bad == []


def test_hostile_messages_and_names(visits: Visits) -> None:
    assert len(HOSTILE) >= 60
    anna = visits.person("anna").register("Anna")
    chat_id = anna.make_group("<img src=x onerror=alert(1)> \u202egnorw")
    with anna.rest() as rest:
        for n, name in enumerate(NAMES):
            form = {"username": f"eve{n}-{new_id()[:8]}", "password": PASSWORD, "display_name": name}
            eve = httpx2.post(f"{anna.url}/v1/auth/register", json=form).json()
            rest.post(f"/v1/chats/{chat_id}/members", json={"user_id": eve["user"]["id"]}).raise_for_status()
            signed = {"Authorization": f"Bearer {eve['access_token']}"}
            part = HOSTILE[n :: len(NAMES)]
            for body in part:
                said = {"client_message_id": new_id(), "body": body}
                httpx2.post(
                    f"{anna.url}/v1/chats/{chat_id}/messages", json=said, headers=signed, timeout=30
                ).raise_for_status()
    ben = visits.elsewhere(anna).sign_in()
    ben.go(f"/c/{chat_id}")
    ben.page.get_by_role("article").first.wait_for()
    column = ben.page.get_by_role("region", name="Messages")
    column.hover()
    for _ in range(30):
        quiet(ben)
        ben.page.mouse.wheel(0, -1_200)
        ben.page.wait_for_timeout(40)
    seen = ben.page.get_by_role("article").all_inner_texts()
    assert seen, "it is still a page"
    ben.click("button", "About this chat")
    expect(ben.page.get_by_role("complementary")).to_contain_text("⟨U+202E⟩")
    expect(ben.page.get_by_role("complementary")).to_contain_text("Anna⟨U+200B⟩")
    quiet(ben)
    anna.page.get_by_role("article").first.wait_for()
    quiet(anna)
    assert visits.dialogs == []


def test_hostile_answers(visits_real: Visits) -> None:
    """What a model writes is shown as what a person writes, also half of it; the scripted one says what it was asked."""
    anna = visits_real.person("anna").register()
    chat_id = anna.ask_assistant()
    for body in [one for one in HOSTILE if len(one) < 400][::2]:
        anna.say(body)
        anna.page.wait_for_timeout(100)
        expect(anna.page.get_by_role("article").last).to_contain_text("tokens")
        quiet(anna)
    items = anna.rest().get(f"/v1/chats/{chat_id}/messages?limit=100").json()["items"]
    assert len([one for one in items if one["kind"] == "assistant" and one["status"] == "complete"]) >= 20
    assert visits_real.dialogs == []


def test_a_remote_image_is_a_link_that_shows_its_host(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register()
    anna.make_group("pictures")
    anna.say(f"![a cat]({AWAY}/cat.png) and [here](http://other.example/x)")
    article = anna.sees("a cat")
    link = article.get_by_role("link", name="a cat")
    assert link.get_attribute("href") == f"{AWAY}/cat.png" and link.get_attribute("target") == "_blank"
    assert set((link.get_attribute("rel") or "").split()) >= {"noopener", "noreferrer"}
    expect(article).to_contain_text("evil.example")
    expect(article).to_contain_text("other.example")


def test_no_token_is_where_a_script_could_find_it(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register()
    anna.make_group("safe")
    anna.say("hello")
    anna.sees("hello")
    anna.page.wait_for_timeout(2_500)
    kept = anna.page.evaluate(
        """async () => {
          const rows = [];
          for (const { name } of await indexedDB.databases()) {
            const db = await new Promise((done) => { const asked = indexedDB.open(name); asked.onsuccess = () => done(asked.result); });
            for (const store of db.objectStoreNames) rows.push(await new Promise((done) => { const asked = db.transaction(store).objectStore(store).getAll(); asked.onsuccess = () => done(asked.result); }));
          }
          return JSON.stringify([rows, document.cookie, { ...localStorage }, { ...sessionStorage }, performance.getEntriesByType("resource").map((one) => one.name)]);
        }"""
    )
    assert "hello" in kept, "it looked where something is kept"
    assert not re.search(r"eyJ[A-Za-z0-9_-]{10}|refresh|access_token", kept)
    assert not re.search(r"token=", " ".join(visits_embedded.asked))


def test_the_worker_keeps_the_shell_alone(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register()
    anna.page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    kept = anna.page.evaluate(
        "(async () => (await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map((one) => new URL(one.url).pathname)))).flat())()"
    )
    assert "/index.html" in kept and not [path for path in kept if path.startswith("/v1")]
    assert (ROOT / "web/dist/sw.js").exists()
