"""How providers of models behave, as a table: what one does → how its answer ends, and how often it was asked. Each row goes
through a socket, the real stack and a real HTTP server; the server's log is the witness."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

from stack.pace import within
from tests.scenarios.test_accounts import make_operator, refused
from tests.scenarios.test_replies import assistant_chat, ended
from tests.world import People, Person, World, new_id

Row = tuple[str, dict[str, Any], str, str, str, int]


def said(content: Any = None, finish: Any = None, **delta: Any) -> dict[str, Any]:
    """One event of a stream."""
    delta = delta if content is None else {"content": content, **delta}
    return {
        "id": "x",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def chunks(*events: Any) -> dict[str, Any]:
    return {"chunks": list(events)}


def raw(*pieces: Any, **more: Any) -> dict[str, Any]:
    return {"raw": list(pieces), **more}


def lines(*events: Any) -> str:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events)


def answers(status: int, json_: Any = None, **more: Any) -> dict[str, Any]:
    return {"respond": {"status": status, "json": json_, **more}}


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


END = said(None, "stop")
DONE = "data: [DONE]\n\n"
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}

COMPLETE: list[tuple[str, dict[str, Any], str]] = [
    ("as OpenAI streams", {"words": 3}, "word0 word1 word2"),
    ("choices null", chunks({"choices": None}, said("x"), END), "x"),
    ("choices missing", chunks({"id": "x"}, said("x"), END), "x"),
    ("choices empty, with a filter's results", chunks({"choices": [], "prompt_filter_results": [{}]}, said("x"), END), "x"),
    ("usage behind the end", chunks(said("x"), END, USAGE), "x"),
    ("delta null", chunks({"choices": [{"delta": None}]}, said("x"), END), "x"),
    ("delta missing", chunks({"choices": [{}]}, said("x"), END), "x"),
    ("delta a text", chunks({"choices": [{"delta": "x"}]}, END), "x"),
    ("a message in place of a delta", chunks({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}), "x"),
    ("a text, as the older API says it", chunks({"choices": [{"text": "x"}]}, {"choices": [{"text": "", "finish_reason": "stop"}]}), "x"),
    ("the end with the last text", chunks(said("x "), said("y", "stop")), "x y"),
    ("an empty finish reason before the end", chunks(said("x", ""), END), "x"),
    ("content null", chunks(said(None), said("x"), END), "x"),
    ("content empty", chunks(said(""), said("x"), END), "x"),
    ("content a number", chunks(said("2 + 3 = "), said(5), END), "2 + 3 = 5"),
    ("content a list of parts", chunks(said([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]), END), "in parts"),
    ("content a list of texts", chunks(said(["in ", "parts"]), END), "in parts"),
    ("content one part", chunks(said({"type": "text", "text": "x"}), END), "x"),
    ("content parts that think", chunks(said([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]), said("x"), END), "x"),
    ("usage null", chunks(said("x") | {"usage": None}, END), "x"),
    ("usage partial", chunks(said("x"), END, {"usage": {"prompt_tokens": 3}}), "x"),
    ("usage in words", chunks(said("x"), END, {"usage": {"prompt_tokens": "three", "completion_tokens": "one"}}), "x"),
    ("usage negative", chunks(said("x"), END, {"usage": {"prompt_tokens": -1, "completion_tokens": -1}}), "x"),
    ("usage a list", chunks(said("x"), END, {"usage": []}), "x"),
    ("usage in each event", chunks(said("x") | {"usage": USAGE["usage"]}, END | {"usage": USAGE["usage"]}), "x"),
    ("reasoning_content", {"words": 1, "think": 4}, "word0"),
    ("reasoning", {"words": 1, "think": 4, "think_as": "reasoning"}, "word0"),
    ("reasoning an object", chunks(said(None, None, thinking={"content": "hm"}), said("x"), END), "x"),
    ("<think> in the text", {"words": 1, "think": 4, "think_as": "tag"}, "word0"),
    ("<think> cut anywhere", chunks(*(said(c) for c in "<think>a < b</think>\n\nx < y"), END), "x < y"),
    ("<thinking>", chunks(said("\n<thinking>hm</thinking> x"), END), "x"),
    ("< in the text is no thought", chunks(said("<t"), said("able> is a tag"), END), "<table> is a tag"),
    ("<think> in the middle is text", chunks(said("say <think>so</think>"), END), "say <think>so</think>"),
    ("a text that only begins as a thought", chunks(said("<thin"), END), "<thin"),
    ("comments and pings", raw(": ping\n\n", ":\n\n", "event: ping\ndata:\n\n", lines(said("x"), END), DONE), "x"),
    ("other fields", raw("event: message\nid: 1\nretry: 5\n", lines(said("x"), END), DONE), "x"),
    ("CR LF", raw((lines(said("x"), END) + DONE).replace("\n", "\r\n")), "x"),
    ("no blank after data:", raw(lines(said("x"), END).replace("data: ", "data:")), "x"),
    ("cut between characters' bytes", raw(*lines(said("ü 字"), END)), "ü 字"),
    ("an event of two lines", raw('data: {"choices": [{"delta":\ndata: {"content": "x"}}]}\n\n', lines(END)), "x"),
    ("no blank line at the end", raw(lines(said("x")), lines(END).rstrip("\n")), "x"),
    ("a mark at the beginning", raw("\ufeff" + lines(said("x"), END)), "x"),
    ("JSON by lines", raw(json.dumps(said("x")) + "\n", json.dumps(END) + "\n"), "x"),
    ("a plain JSON answer", answers(200, {"choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}], "usage": USAGE["usage"]}), "x"),
    ("a plain JSON answer over lines", {"respond": {"status": 200, "text": json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}, indent=2)}}, "x"),
    ("JSON where events were announced", raw(json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]})), "x"),
    ("nothing behind [DONE] counts", raw(lines(said("x"), END), DONE, "data: {no JSON\n\n"), "x"),
    ("no [DONE]", {"words": 2, "done": False}, "word0 word1"),
    ("no [DONE], and the stream stays open", {"words": 1, "done": False, "open_s": 60}, "word0"),
    ("an error behind the end", chunks(said("x"), END, error("Overloaded")), "x"),
    ("what can't be read behind the end", chunks(said("x"), END, {"choices": 5}), "x"),
    ("a pause of two seconds, with pings", {"words": 1, "first_ms": 2000, "pings": True}, "word0"),
    ("two seconds of silence", {"words": 1, "first_ms": 2000}, "word0"),
    ("longer than the silence allowed, with pings", {"words": 1, "first_ms": 4500, "pings": True}, "word0"),
    ("a NUL in the text", chunks(said("a\x00b"), END), "ab"),
    ("half a character", chunks(said("\ud83d"), said("\ude00"), END), "😀"),
    ("another choice beside it", chunks({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}, {"index": 1, "delta": {"content": "y"}}]}), "x"),
    ("unknown fields everywhere", chunks(said("x", None, audio=None, x=1) | {"obfuscation": "zz"}, END), "x"),
    ("tool calls empty", chunks(said("x", None, tool_calls=[]), END), "x"),
    *((f"finish {word}", chunks(said("x"), said(None, word)), "x") for word in ("STOP", "end_turn", "eos_token", "stop_sequence", "COMPLETE", "FinishReason.STOP")),
]  # fmt: skip

FAILED: list[tuple[str, dict[str, Any], str, str, int]] = [
    *((f"finish {word}", chunks(said("x"), said(None, word)), "length", "x", 1) for word in ("length", "max_tokens", "MAX_TOKENS", "model_length")),
    *((f"finish {word}", chunks(said("x"), said(None, word)), "filtered", "x", 1) for word in ("content_filter", "SAFETY", "RECITATION", "PROHIBITED_CONTENT")),
    ("finish refusal", chunks(said("x"), said(None, "refusal")), "refused", "x", 1),
    ("finish tool_calls, without a text", chunks(said(None, None, tool_calls=[{"id": "1"}]), said(None, "tool_calls")), "empty", "", 1),
    ("finish tool_use, behind a text", chunks(said("let me see"), said(None, "tool_use")), "empty", "let me see", 1),
    ("a tool called, then stop", chunks(said(None, None, tool_calls=[{"id": "1"}]), END), "empty", "", 1),
    ("finish error, behind a text", chunks(said("x"), said(None, "error")), "unavailable", "x", 1),
    ("finish error, before one", chunks(said(None, "error")), "unavailable", "", 3),
    ("an unknown finish", chunks(said("x"), said(None, "paused_for_tea")), "cut", "x", 1),
    ("finish a number", chunks(said("x"), said(None, 1)), "cut", "x", 1),
    ("a refusal", chunks(said(None, None, refusal="I can't help with that."), END), "refused", "I can't help with that.", 1),
    ("a refusal as a part", chunks(said([{"type": "refusal", "refusal": "No."}]), END), "refused", "No.", 1),
    ("nothing said", chunks(END), "empty", "", 1),
    ("blanks alone", chunks(said(" \n"), END), "empty", "", 1),
    ("thinking alone", {"chunks": [said("<think>hm</think>"), END]}, "empty", "", 1),
    ("thinking without an end", chunks(said("<think>hm"), said(None, "length")), "length", "", 1),
    ("[DONE] without a finish reason", raw(lines(said("x")), DONE), "cut", "x", 1),
    ("[DONE] alone", raw(DONE), "cut", "", 3),
    ("nothing at all", raw(""), "cut", "", 3),
    ("cut in the middle", {"words": 2, "end": "cut"}, "unavailable", "word0 word1", 1),
    ("no finish reason", {"words": 2, "end": "no_finish"}, "cut", "word0 word1", 1),
    ("silence in the middle", {"words": 2, "end": "stall"}, "timeout", "word0 word1", 1),
    ("silence before the first", {"words": 2, "first_ms": 60_000}, "timeout", "", 1),
    ("no JSON", {"words": 2, "end": "garbage"}, "bad_answer", "word0 word1", 1),
    ("no JSON before the first", raw("data: {no\n\n"), "bad_answer", "", 3),
    ("a list of two", raw("data: [1, 2]\n\n"), "bad_answer", "", 3),
    ("choices a number", chunks(said("x"), {"choices": 5}, END), "bad_answer", "x", 1),
    ("a choice a number", chunks(said("x"), {"choices": [1]}, END), "bad_answer", "x", 1),
    ("delta a number", chunks(said("x"), {"choices": [{"delta": 5}]}, END), "bad_answer", "x", 1),
    ("content true", chunks(said("x"), said(True), END), "bad_answer", "x", 1),
    ("nested without an end", raw("data: ", ["[", 100_000], "\n\n"), "bad_answer", "", 3),
    ("an event of a mebibyte", raw("data: ", ["x", 1_100_000]), "bad_answer", "", 3),
    ("a web page", {"respond": {"text": "<!doctype html><title>Sign in</title>"}}, "bad_answer", "", 1),
    ("a web page over lines", raw("<html>\n<body>\n\n</body></html>", type="text/html"), "bad_answer", "", 1),
    ("an error within: an object", chunks(said("x"), error("Overloaded")), "unavailable", "x", 1),
    ("an error within: a text", chunks(said("x"), {"error": "Rate limit reached"}), "rate_limited", "x", 1),
    ("an error within: its own event", raw(lines(said("x")), 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'), "unavailable", "x", 1),
    ("an error within: its own field", raw(lines(said("x")), 'error: {"code": 500, "message": "context size exceeded", "type": "server_error"}\n\n'), "context", "x", 1),
    ("an error within: an object error", chunks(said("x"), {"object": "error", "message": "no", "code": 400}), "refused", "x", 1),
    ("an error within a choice", chunks({"choices": [{"delta": {"content": ""}, "error": {"code": 502, "message": "upstream"}, "finish_reason": "error"}]}), "unavailable", "", 3),
    ("an error of status 200", answers(200, error("You exceeded your current quota")), "quota", "", 1),
    ("an error of status 200, plain", answers(200, {"detail": "Internal error"}), "unavailable", "", 3),
    ("401", answers(401, error("Incorrect API key provided: sk-abcdef123456", code="invalid_api_key")), "unauthorized", "", 1),
    ("403", answers(403, error("Country not supported")), "unauthorized", "", 1),
    ("403 flagged", answers(403, error("Your input was flagged by moderation")), "filtered", "", 1),
    ("402", answers(402, error("Insufficient credits")), "quota", "", 1),
    ("429 without credit", answers(429, error("You exceeded your current quota", code="insufficient_quota")), "quota", "", 1),
    ("429", {"fail": 429, "retry_after": 0.1}, "rate_limited", "", 3),
    ("429 for an hour", {"fail": 429, "retry_after": 3600}, "rate_limited", "", 1),
    ("404 no such model", answers(404, error("The model `x` does not exist", code="model_not_found")), "not_found", "", 1),
    ("404 a page", {"respond": {"status": 404, "text": "<h1>Not Found</h1>"}}, "not_found", "", 1),
    ("400 no such model", answers(400, error("model 'x' not found")), "not_found", "", 1),
    ("413", answers(413, error("Payload too large")), "context", "", 1),
    ("400 context", answers(400, error("This model's maximum context length is 4096 tokens", code="context_length_exceeded")), "context", "", 1),
    ("400 context, as llama.cpp says it", answers(400, error("the request exceeds the available context size", type="exceed_context_size_error", n_ctx=4096)), "context", "", 1),
    ("400 filtered, as Azure says it", answers(400, error("The response was filtered", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"})), "filtered", "", 1),
    ("400", answers(400, error("bad request")), "refused", "", 1),
    ("400 for a value that is too large", answers(400, error("max_tokens is too large: 500. This model supports at most 300 completion tokens", param="max_tokens")), "refused", "", 1),
    ("400 as a list", answers(400, [error("bad request")]), "refused", "", 1),
    ("400 without a word", answers(400, None), "refused", "", 1),
    ("422 of a framework", answers(422, {"detail": [{"loc": ["body"], "msg": "field required"}]}), "refused", "", 1),
    ("500", answers(500, error("boom")), "unavailable", "", 3),
    ("502 a page", {"respond": {"status": 502, "text": "<h1>Bad Gateway</h1>"}}, "unavailable", "", 3),
    ("529", answers(529, error("Overloaded")), "unavailable", "", 3),
    ("504", answers(504, error("upstream timed out")), "timeout", "", 3),
    ("302 to nowhere", answers(302, None, headers={"Location": "http://127.0.0.1:1/"}), "unavailable", "", 3),
]  # fmt: skip

CURED: list[tuple[str, dict[str, Any], str, int]] = [
    ("503 twice", {"fail": 503, "times": 2, "words": 1}, "word0", 3),
    ("429 with a fraction", {"fail": 429, "times": 1, "retry_after": 0.2, "words": 1}, "word0", 2),
    ("429 with milliseconds", {"respond": {"status": 429, "headers": {"retry-after-ms": "200"}}, "times": 1, "words": 1}, "word0", 2),
    ("429 with a date", {"respond": {"status": 429, "headers": {"Retry-After": "Fri, 27 Nov 2026 08:00:01 GMT", "Date": "Fri, 27 Nov 2026 08:00:00 GMT"}}, "times": 1, "words": 1}, "word0", 2),
    ("429 with what can't be read", {"respond": {"status": 429, "headers": {"Retry-After": "soon"}}, "times": 1, "words": 1}, "word0", 2),
    ("loading", {"loading": 1, "words": 1}, "word0", 2),
    ("loading, to be asked again at once", {"respond": {"status": 503, "json": error("Loading model"), "headers": {"Retry-After": "0"}}, "times": 1, "words": 1}, "word0", 2),
    ("429 by the minute, with a word on billing", {"respond": {"status": 429, "json": error("Rate limit reached for requests per min. Please try again in 1s. Add a payment method at example.org/account/billing")}, "times": 1, "words": 1}, "word0", 2),
    *((f"{option} refused", {"refuse": [option], "words": 1}, "word0", calls) for option, calls in (("stream_options", 2), ("max_tokens", 2), ("temperature", 2), ("system", 2))),
    ("all of them refused", {"refuse": ["stream_options", "max_tokens", "max_completion_tokens", "temperature", "system"], "words": 1}, "word0", 6),
]  # fmt: skip

TABLE: list[Row] = [
    *((name, script, "complete", "", text, 1) for name, script, text in COMPLETE),
    *((name, script, "failed", code, text, calls) for name, script, code, text, calls in FAILED),
    *((name, script, "complete", "", text, calls) for name, script, text, calls in CURED),
]


async def test_however_a_provider_behaves_its_answer_ends_as_the_table_says(real: World) -> None:
    assert len(TABLE) >= 120 and len({name for name, *_ in TABLE}) == len(TABLE)
    people = People(real)
    wrong: list[str] = []
    for start in range(0, len(TABLE), 40):
        rows = TABLE[start : start + 40]
        anna = await people.make()
        socket = await anna.client(0)
        asked = {}
        for number, (_, script, *_) in enumerate(rows, start):
            setting = {"model": f"model-{number}", "instructions": f"row {number}"}  # refusals are remembered by model
            chat_id = await assistant_chat(anna, **setting)
            asked[number] = chat_id
            await socket.send(chat_id, f"script: {json.dumps(script)}")
        ends = await _ends(socket, asked)
        for number, (name, _, status, code, text, calls) in enumerate(rows, start):
            end = ends.get(number)
            if end is None:
                wrong.append(f"{name}: no end")
                continue
            made = len(await upstream_calls(real, anna, f"model-{number}"))
            got = (end["status"], end.get("failure", {}).get("code", ""), end["body"].strip(), made)
            if got != (status, code, text, calls):
                wrong.append(f"{name}: {got} in place of {(status, code, text, calls)}")
    await people.close()
    assert not wrong, "\n".join(wrong)


async def _ends(socket: Any, asked: dict[int, str]) -> dict[int, dict[str, Any]]:
    ends: dict[int, dict[str, Any]] = {}
    try:
        async with within(60):
            while len(ends) < len(asked):
                for number, chat_id in asked.items():
                    for event in socket.chats[chat_id].events if chat_id in socket.chats else ():
                        if event["type"] == "message.completed":
                            ends[number] = event["message"]
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass
    return ends


async def test_a_chat_on_a_strict_server_goes_on_whatever_failed_before(real: World) -> None:
    """User and assistant alternate in what is sent, beginning with user, whatever failed, was stopped or asked by two at once."""
    people = People(real)
    anna = await people.make()
    client = await anna.client(0)
    chat_id = await assistant_chat(anna)
    asked = itertools.count(1)

    async def ask(**script: Any) -> dict[str, Any]:
        await client.send(chat_id, f"script: {json.dumps({'alternate': True, **script})}")
        return dict((await ended(client, chat_id, next(asked)))[-1]["message"])

    assert (await ask(fail=400))["failure"]["code"] == "refused"
    assert (await ask(words=2))["status"] == "complete"
    assert (await ask(words=2, end="no_finish"))["failure"]["code"] == "cut"
    assert (await ask(words=2, finish="length"))["failure"]["code"] == "length"
    first = await ask(words=3)
    assert first["status"] == "complete"
    await asyncio.gather(
        *(client.send(chat_id, f'script: {{"alternate": true, "words": 1, "n": {n}}}') for n in range(3))
    )
    await ended(client, chat_id, 8)
    await client.send(chat_id, 'script: {"alternate": true, "words": 4}')
    ends = [event["message"] for event in await ended(client, chat_id, 9)]
    assert [end["status"] for end in ends].count("failed") == 3, "what was planned to fail, and nothing more"
    await people.close()


async def test_a_chat_that_outgrew_the_models_context_is_shortened_and_asked_once_more(real: World) -> None:
    people = People(real)
    anna = await people.make()
    client = await anna.client(0)
    name, turns = f"small-{anna.id}", 12
    chat_id = await assistant_chat(anna, model=name)
    for n in range(turns):
        await client.send(chat_id, f'{"tea " * 200} script: {{"words": 2, "n": {n}}}')
        await ended(client, chat_id, n + 1)
    await client.send(chat_id, 'script: {"words": 3, "context": 1000}')
    end = (await ended(client, chat_id, turns + 1))[-1]["message"]
    assert (end["status"], end["body"].strip()) == ("complete", "word0 word1 word2")
    mine = await upstream_calls(real, anna, name)
    refused, taken = mine[-2:]
    assert len(mine) == turns + 2 and refused["end"] == "400"
    assert 1 < len(taken["messages"]) < len(refused["messages"])
    assert taken["messages"] == refused["messages"][-len(taken["messages"]) :], "the newest turns, the question last"
    await people.close()


async def upstream_calls(world: World, person: Person, model: str) -> list[dict[str, Any]]:
    """What a model of this name was asked, by its server's log."""
    assert world.model is not None
    log = (await person.rest.http.get(f"{world.model.url}/log")).json()
    return [entry for entry in log if entry["model"] == model]


async def test_how_an_answer_came_about_is_told_and_what_the_provider_said_to_operators_alone(real: World) -> None:
    people = People(real)
    anna, root, stranger = await people.make(), await people.make(), await people.make()
    await make_operator(real, root)
    client = await anna.client(0)
    chat_id = await assistant_chat(anna)
    path = f"/v1/chats/{chat_id}/messages"
    for script in (
        {"words": 2},
        answers(400, error("no: sk-abcdef123456")),
        {"fail": 503, "times": 1, "words": 1, "n": chat_id},
    ):
        await client.send(chat_id, f"script: {json.dumps(script)}")
        await ended(client, chat_id, 1 + sum(e["type"] == "message.completed" for e in client.chats[chat_id].events))
    whole, refused_, tried = [e["message"] for e in await ended(client, chat_id, 3)]
    origin = await anna.rest.get(f"{path}/{whole['id']}/provenance")
    assert (origin["provider"], origin["model"], origin["version"], origin["cost"]) == (
        "default",
        "gpt-4o-mini",
        1,
        None,
    )
    assert origin["parameters"] == {"max_output_tokens": 500, "temperature": 0.5} and origin["policies"] == [
        "members-write",
        "assistants-answer-who-calls-them",
    ]
    assert origin["usage"] == whole["usage"] == {"prompt_tokens": 7, "completion_tokens": 2}
    [attempt] = origin["attempts"]
    assert (attempt["attempt"], attempt["end"], attempt["calls"]) == (1, "complete", 1)
    assert 0 <= attempt["first_token_ms"] < 5_000 and attempt["started_at"] <= attempt["ended_at"]
    sent = await upstream_calls(real, anna, "gpt-4o-mini")
    asked = await anna.rest.get(f"{path}/{whole['reply_to']}")
    assert origin["context"] == [{"seq": asked["seq"], "message_id": asked["id"]}]
    assert any(entry["messages"] == [{"role": "user", "content": asked["body"]}] for entry in sent)
    [failed] = (await anna.rest.get(f"{path}/{refused_['id']}/provenance"))["attempts"]
    assert (failed["end"], failed["first_token_ms"]) == ("refused", None) and "said" not in failed
    last = await anna.rest.get(f"{path}/{tried['id']}/provenance")
    assert last["attempts"][0]["calls"] == 2
    told = {place["message_id"] for place in last["context"]}
    assert told >= {whole["id"], whole["reply_to"], tried["reply_to"]} and refused_["id"] not in told, "it said nothing"
    assert (await refused(anna.rest.get(f"{path}/{whole['reply_to']}/provenance"))).code == "conflict"
    assert (await refused(stranger.rest.get(f"{path}/{whole['id']}/provenance"))).code == "not_found"
    group = await people.group(root, anna)
    await root.rest.post(
        f"/v1/chats/{group}/messages",
        {
            "client_message_id": new_id(),
            "body": f"@assistant script: {json.dumps(answers(400, error('no: sk-abcdef123456')))}",
        },
    )
    async with within(20):
        while (newest := (await anna.rest.get(f"/v1/chats/{group}/messages?limit=1"))["items"][0])[
            "status"
        ] != "failed":
            await asyncio.sleep(0.1)
    [seen] = (await root.rest.get(f"/v1/chats/{group}/messages/{newest['id']}/provenance"))["attempts"]
    assert seen["said"] == "no: …", "without what looks like a key"
    await people.close()
