"""Several assistants in the browser: made by an operator, chosen by others, how they take part in a group, and what they took."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.web.visitor import Visits


def test_an_assistant_is_made_chosen_and_told_how_to_take_part(visits_embedded: Visits) -> None:
    root = visits_embedded.person("root").register()
    visits_embedded.world.make_operator(root.username)
    root.go("/admin")
    page = root.page
    root.click("button", "Assistants")
    root.click("button", "New assistant")
    name = f"lib-{root.username[-6:]}"
    form = page.get_by_role("form", name="New assistant")
    form.get_by_label("Username").fill(name)
    form.get_by_label("Name that others see").fill("Librarian")
    form.get_by_label("What it is good for").fill("Knows the handbook.")
    form.get_by_label("How the assistant should answer").fill("Be brief.")
    form.get_by_text("Parameters").click()
    form.get_by_label("How freely it chooses its words").fill("0.3")
    root.click("button", "Save", within=form)
    expect(page.get_by_role("listitem").filter(has_text=f"@{name}")).to_contain_text("version 1")
    row = page.get_by_role("listitem").filter(has_text=f"@{name}")
    root.click("button", "Change", within=row)
    page.get_by_role("form", name="Librarian").get_by_label("Who may ask it").select_option("operators")
    root.click("button", "Save", within=page.get_by_role("form", name="Librarian"))
    expect(row).to_contain_text("version 2")

    anna = visits_embedded.person("anna").register("Anna")
    anna.click("button", "New chat")
    mine = anna.page.get_by_role("list", name="Assistants").get_by_role("listitem").filter(has_text=f"@{name}")
    expect(mine).to_contain_text("You may not ask it: assistants-choose-who-asks")
    expect(mine.get_by_role("button", name="Choose Librarian")).to_be_disabled()
    anna.press("Escape")
    root.click("button", "Change", within=row)
    form = page.get_by_role("form", name="Librarian")
    form.get_by_label("Who may ask it").select_option("listed")
    form.get_by_role("searchbox", name="Find a person").fill(anna.username)
    root.click("button", re.compile(f"@{anna.username}"), within=form)
    expect(form.get_by_role("list", name="Those who are listed")).to_contain_text("Anna")
    root.click("button", "Save", within=form)
    expect(row).to_contain_text("version 3")
    with root.rest() as rest:
        made = next(one for one in rest.get("/v1/assistants").json()["items"] if one["username"] == name)
        assert (made["parameters"], made["asked_by"], len(made["listed"])) == ({"temperature": 0.3}, "listed", 1)
    anna.click("button", "New chat")
    anna._opened_by("Choose Librarian")
    anna.say("2 sentences")
    anna.sees("This is the demo assistant of Parley")
    anna.click("button", "About this chat")
    panel = anna.page.get_by_role("complementary", name="About this chat")
    expect(panel.get_by_role("listitem").filter(has_text=f"@{name}")).to_have_count(1)
    panel.get_by_text("Another assistant").click()
    anna.click("button", "Choose Assistant", within=panel)
    expect(panel.locator("ul.people").last.get_by_role("listitem").filter(has_text="@assistant")).to_have_count(1)

    anna.make_group("tea")
    panel = anna.page.get_by_role("complementary", name="About this chat")
    if not panel.is_visible():
        anna.click("button", "About this chat")
    anna.click("button", "Add a person", within=panel)
    panel.get_by_role("searchbox", name="Add a person").fill(name)
    anna.click("button", re.compile(f"@{name}"), within=panel)
    member = panel.get_by_role("listitem").filter(has_text=f"@{name}")
    anna.click("button", re.compile("What to do with Librarian"), within=member)
    anna.click("menuitem", "Says nothing")
    expect(member).to_contain_text("says nothing")
    panel.get_by_text("What holds here").click()
    anna.click("checkbox", "Who joins from now on sees nothing from before", within=panel)
    expect(panel.get_by_role("checkbox", name="Who joins from now on sees nothing from before")).to_be_checked()
    with anna.rest() as rest:
        chat = next(one for one in rest.get("/v1/chats").json()["items"] if one["title"] == "tea")
        assert chat["history"] == "from_joining"
    anna.go("/settings")
    expect(anna.page.get_by_text(re.compile("In 30 days: 1 answers"))).to_be_visible()


def test_questions_are_asked_anew_gone_on_from_added_to_and_made_of_prompts(visits_embedded: Visits) -> None:
    root = visits_embedded.person("root").register()
    visits_embedded.world.make_operator(root.username)
    anna = visits_embedded.person("anna").register("Anna")
    with root.rest() as of_root, anna.rest() as rest:
        me = rest.get("/v1/me").json()["id"]
        assert of_root.patch(f"/v1/admin/users/{me}", json={"quotas": {"replies_per_day": 20}}).status_code == 200
        chat_id = anna.ask_assistant()
        expect(anna.page.get_by_role("status").filter(has_text="20 of 20 answers left today")).to_be_visible()
        anna.say("first, 1 sentence")
        anna.sees("This is the demo assistant of Parley", 1)
        expect(anna.page.get_by_role("status").filter(has_text="19 of 20 answers left today")).to_be_visible()
        anna.say("then 2 sentences")
        answers = anna.page.get_by_role("article").filter(has=anna.page.get_by_text(re.compile(r"\d+ tokens")))
        expect(answers).to_have_count(2)
        anna.act("then 2 sentences", "Edit")
        anna.say("or rather 3 sentences")
        rather = anna.sees("or rather 3 sentences")
        expect(rather).to_contain_text("2/2")
        expect(anna.article("then 2 sentences")).to_have_count(0)
        expect(answers).to_have_count(2)
        anna.click("button", "Previous", within=rather)
        expect(anna.sees("then 2 sentences")).to_contain_text("1/2")
        anna.say("go on, 1 sentence")
        expect(answers).to_have_count(3)
        anna.sees("then 2 sentences")
        messages = rest.get(f"/v1/chats/{chat_id}/messages").json()["items"]
        by_body = {one["body"]: one for one in messages}
        of = {one["reply_to"]: one["id"] for one in messages if one["kind"] == "assistant"}
        first = of[by_body["first, 1 sentence"]["id"]]
        assert {by_body[body]["parent_id"] for body in ("then 2 sentences", "or rather 3 sentences")} == {first}
        assert by_body["go on, 1 sentence"]["parent_id"] == of[by_body["then 2 sentences"]["id"]]
        anna.page.reload()
        anna.sees("go on, 1 sentence")
        anna.sees("then 2 sentences")

        anna.choose("then 2 sentences", "Go on from here in a new chat")
        anna.page.wait_for_url(lambda url: chat_id not in url and "/c/" in url)
        fork = anna.page.url.rpartition("/")[2]
        chat = rest.get(f"/v1/chats/{fork}").json()
        assert chat["forked_from"] == {"chat_id": chat_id, "seq": by_body["then 2 sentences"]["seq"]}

        anna.say(visits_embedded.long_question)
        anna.say("meanwhile, 1 sentence")
        waiting = anna.sees("waits for its turn")
        waiting.hover()
        anna.click("button", "Add a remark", within=waiting)
        expect(anna.page.get_by_text("Added", exact=True)).to_have_count(1)
        events = rest.get(f"/v1/chats/{fork}/timeline", params={"after": 0}).json()["items"]
        assert [one["text"] for one in events if one["type"] == "reply.steered"] == ["since it is so"]
        anna.click("button", "Stop")

    anna.go("/settings")
    anna.click("button", "New prompt")
    form = anna.page.get_by_role("form", name="New prompt")
    form.get_by_label("Its name").fill("Tea talk")
    form.get_by_label("Its text").fill("Tell {{who}} of tea in 1 sentence")
    anna.click("button", "Save", within=form)
    expect(anna.page.get_by_role("list", name="Prompts").get_by_role("listitem")).to_contain_text("Tea talk")
    anna.go(f"/c/{chat_id}")
    anna.box.fill("/tea")
    expect(anna.page.get_by_role("option").filter(has_text="/Tea talk")).to_have_count(1)
    anna.press("Enter")
    anna.page.get_by_role("dialog", name="Tea talk").get_by_label("who").fill("Ben")
    anna.click("button", "Use it")
    expect(anna.box).to_have_value("Tell Ben of tea in 1 sentence")
