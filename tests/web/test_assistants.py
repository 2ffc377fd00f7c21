"""Several assistants in the browser: made by an operator, chosen by others, how they take part in a group, and what they took."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.web.visitor import Visits


def test_an_assistant_is_made_chosen_and_told_how_to_take_part(visits_embedded: Visits) -> None:
    root = visits_embedded.person("root").register()
    role = visits_embedded.world.role
    assert role is not None and role.run("operator", root.username).returncode == 0
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
    page.get_by_role("form", name="Librarian").get_by_label("Who may ask it").select_option("everyone")
    root.click("button", "Save", within=page.get_by_role("form", name="Librarian"))
    expect(row).to_contain_text("version 3")
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
