"""The `anthropic` SDK: messages and counting."""

import json

import anthropic
from harness import check

ASK = [{"role": "user", "content": "写一首关于秋天的诗"}]
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["北京", "上海"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"enum": [1, 2, 3]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
CALLED = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "北京"}}
RESULT = {
    "type": "tool_result",
    "tool_use_id": "toolu_1",
    "content": [{"type": "text", "text": "晴"}],
}
BILLING = "x-anthropic-billing-header: cc_version=2.1.{0}; cc_entrypoint=cli; cch={1};"


def client(server):
    return anthropic.Anthropic(base_url=server.base, api_key="none", max_retries=0)


def asked(server, **more):
    """What is asked for; sampling in the body, as newer versions of the SDK do not name it."""
    ask = {"model": server.model, "messages": ASK, "max_tokens": 24} | more
    names = [name for name in ("temperature", "top_p", "top_k") if name in ask]
    if names:
        ask["extra_body"] = ask.get("extra_body", {}) | {name: ask.pop(name) for name in names}
    return ask


def create(server, **more):
    return client(server).messages.create(**asked(server, **more))


def count(server, **more):
    body = {"model": server.model, "messages": ASK} | more
    return client(server).messages.count_tokens(**body).input_tokens


def refused(server, field, **more):
    """The request is refused with a 400 whose message names the field."""
    try:
        create(server, **more)
    except anthropic.BadRequestError as error:
        assert error.body["type"] == "error", error.body
        assert error.body["error"]["type"] == "invalid_request_error", error.body
        assert field in error.body["error"]["message"], error.body
        assert error.body["request_id"] == error.request_id, error.body
        return
    raise AssertionError(f"{field} was taken")


def total(usage):
    return usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens


@check
def whole_and_streamed_are_the_same(server):
    ask = {"temperature": 0.0, "system": "你是一位诗人。"}
    whole = create(server, **ask)
    assert whole.role == "assistant" and whole.type == "message" and whole.model == server.model
    assert whole.stop_reason in ("end_turn", "max_tokens"), whole
    assert whole.usage.output_tokens <= 24
    assert total(whole.usage) == count(server, system=ask["system"]), whole.usage
    with client(server).messages.stream(**asked(server, **ask)) as stream:
        events = list(stream)
        last = stream.get_final_message()
    assert [block.to_dict() for block in last.content] == [b.to_dict() for b in whole.content]
    assert last.stop_reason == whole.stop_reason
    assert last.usage.output_tokens == whole.usage.output_tokens
    assert total(last.usage) == total(whole.usage), (last.usage, whole.usage)
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds
    assert kinds[-2] == "message_delta" or kinds[-3] == "message_delta", kinds


@check
def raw_events_come_in_order(server):
    stream = create(server, stream=True, temperature=0.0)
    kinds = [event.type for event in stream]
    assert kinds[0] == "message_start", kinds
    assert kinds[-2:] == ["message_delta", "message_stop"], kinds
    assert kinds.count("content_block_start") == kinds.count("content_block_stop")


@check
def blocks_and_texts_are_the_same(server):
    block = {"type": "text", "text": ASK[0]["content"], "cache_control": {"type": "ephemeral"}}
    system = [{"type": "text", "text": "你是一位诗人。", "cache_control": {"type": "ephemeral"}}]
    plain = count(server, system="你是一位诗人。")
    blocks = count(server, system=system, messages=[{"role": "user", "content": [block]}])
    assert plain == blocks, (plain, blocks)
    halves = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert count(server, messages=halves) == count(
        server, messages=[{"role": "user", "content": "a\nb"}]
    )


@check
def a_stop_sequence_ends_the_answer(server):
    whole = create(server, temperature=0.0, max_tokens=16)
    text = "".join(block.text for block in whole.content if block.type == "text")
    if len(text) < 4:
        return "the model said too little"
    found = create(server, temperature=0.0, max_tokens=16, stop_sequences=[text[2:4]])
    assert found.stop_reason == "stop_sequence" and found.stop_sequence == text[2:4], found
    told = "".join(block.text for block in found.content if block.type == "text")
    assert told == text[: text.index(text[2:4])], (told, text)


@check
def fields_that_cannot_be_had_are_refused_by_name(server):
    refused(server, "temperature", temperature=-1.0)
    refused(server, "top_p", top_p=2.0)
    refused(server, "service_tier", service_tier="priority")
    refused(server, "container", extra_body={"container": "x"})
    refused(server, "stop_sequences", stop_sequences=[""])
    refused(server, "tools[0].type", tools=[{"type": "web_search_20250305", "name": "web_search"}])
    refused(server, "tools[0].input_schema", tools=[{"name": "f"}])
    refused(server, "tool_choice", tool_choice={"type": "any"})
    refused(server, "tool_choice", tools=[WEATHER], tool_choice={"type": "tool", "name": "other"})
    image = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    content = [{"type": "image", "source": image}]
    refused(server, "messages[0].content[0]", messages=[{"role": "user", "content": content}])
    refused(server, "messages[1]", messages=[*ASK, {"role": "assistant", "content": "秋"}])
    refused(server, "messages", messages=[])
    redacted = {"type": "redacted_thinking", "data": "secret"}
    turns = [*ASK, {"role": "assistant", "content": [redacted]}, *ASK]
    refused(server, "messages[1].content[0].data", messages=turns)
    thinking = {"type": "enabled", "budget_tokens": 4096}
    refused(server, "thinking.budget_tokens", thinking=thinking)
    edit = {"type": "clear_tool_uses_20250919"}
    refused(server, "context_management", extra_body={"context_management": {"edits": [edit]}})
    status, body = server.post("/v1/messages", {"model": server.model, "messages": ASK})
    assert status == 400 and "max_tokens" in body["error"]["message"], body
    status, body = server.post("/v1/messages", b"{")
    assert status == 400 and body["type"] == "error", body


@check
def a_model_that_is_not_there(server):
    try:
        create(server, model="no-such")
        raise AssertionError("a model that is not there")
    except anthropic.NotFoundError as error:
        assert error.body["error"]["type"] == "not_found_error", error.body


@check
def models(server):
    listed = client(server).models.list()
    assert [model.id for model in listed.data] == [server.model], listed
    assert not listed.has_more and listed.data[0].type == "model", listed
    assert client(server).models.retrieve(server.model).display_name == server.model


@check
def nothing_allowed_only_reads_the_prompt(server):
    found = create(server, max_tokens=0)
    assert found.stop_reason == "max_tokens" and found.content == [], found
    assert found.usage.output_tokens == 0


@check
def lines_that_agents_change_are_no_part_of_the_prompt(server):
    def system(version, mark):
        texts = [BILLING.format(version, mark), "你是一位诗人。"]
        return [{"type": "text", "text": text} for text in texts]

    first = count(server, system=system("100.7b4", "eb6c6"))
    assert first == count(server, system=system("177.01c", "0aaa90"))
    assert first == count(server, system="你是一位诗人。")


@check
def a_client_may_leave(server):
    with client(server).messages.stream(**asked(server, max_tokens=512)) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
    assert create(server, max_tokens=4).usage.output_tokens <= 4


@check
def a_round_trip_of_a_tool(server):
    if "tools" not in server.traits:
        return "no tools"
    turns = [
        *ASK,
        {"role": "assistant", "content": [{"type": "text", "text": "我查一下。"}, CALLED]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "谢谢"}]},
    ]
    without = count(server, tools=[WEATHER])
    told = create(server, messages=turns, tools=[WEATHER], temperature=0.0)
    assert total(told.usage) > without
    failed = turns[:2] + [{"role": "user", "content": [RESULT | {"is_error": True}]}]
    assert count(server, messages=failed, tools=[WEATHER]) > without
    assert count(server, tools=[WEATHER], tool_choice={"type": "none"}) == count(server)


@check
def a_tool_that_must_be_called(server):
    if "tools" not in server.traits:
        return "no tools"
    for choice in ({"type": "any"}, {"type": "tool", "name": "get_weather"}):
        choice["disable_parallel_tool_use"] = True
        ask = {"tools": [WEATHER], "tool_choice": choice, "max_tokens": 256, "temperature": 0.0,
               "thinking": {"type": "disabled"}}
        whole = create(server, **ask)
        assert whole.stop_reason == "tool_use", whole
        calls = [block for block in whole.content if block.type == "tool_use"]
        assert len(calls) == 1 and calls[0].input["city"] in ("北京", "上海"), whole
        with client(server).messages.stream(**asked(server, **ask)) as stream:
            last = stream.get_final_message()
        told = [block.input for block in last.content if block.type == "tool_use"]
        assert told == [call.input for call in calls], (told, calls)


@check
def an_answer_of_a_schema(server):
    if "json" not in server.traits:
        return "its words have no braces"
    form = {"format": {"type": "json_schema", "schema": SCHEMA}}
    # Models of random numbers may think without end.
    found = create(server, output_config=form, max_tokens=256, temperature=0.0,
                   thinking={"type": "disabled"})
    text = "".join(block.text for block in found.content if block.type == "text")
    assert set(json.loads(text)) == {"name", "age"}, text


@check
def thoughts(server):
    if "thinks" not in server.traits:
        return "does not think"
    thinking = {"type": "enabled", "budget_tokens": 16}
    found = create(server, thinking=thinking, max_tokens=48, temperature=0.0)
    assert found.usage.output_tokens_details.thinking_tokens <= 20, found.usage
    for block in found.content:
        if block.type == "thinking":
            assert block.thinking and block.signature, block
    silent = create(
        server, thinking=thinking | {"display": "omitted"}, max_tokens=48, temperature=0.0
    )
    told = [block for block in silent.content if block.type == "thinking"]
    assert all(block.thinking == "" and block.signature for block in told), silent
    # What comes back is read as what it was, whichever way it travels.
    turns = [[*ASK, {"role": "assistant", "content": answer.content}, *ASK]
             for answer in (found, silent)]
    assert count(server, messages=turns[0]) == count(server, messages=turns[1])
    create(server, thinking={"type": "disabled"}, max_tokens=4)
    create(server, thinking={"type": "adaptive"}, max_tokens=4)


@check
def thoughts_that_are_cleared(server):
    if "thinks" not in server.traits:
        return "does not think"
    called = [{"type": "thinking", "thinking": "想一想", "signature": ""}, CALLED]
    turn = [{"role": "assistant", "content": called}, {"role": "user", "content": [RESULT]}]
    turns = ASK + turn + turn

    def create_with(keep):
        edit = {"type": "clear_thinking_20251015", "keep": keep}
        body = {"context_management": {"edits": [edit]}}
        return create(server, messages=turns, extra_body=body, max_tokens=1)

    everything = create_with("all")
    assert everything.to_dict()["context_management"] == {"applied_edits": []}
    one = create_with({"type": "thinking_turns", "value": 1})
    applied = one.to_dict()["context_management"]["applied_edits"]
    assert applied[0]["cleared_thinking_turns"] == 1, applied
    assert total(one.usage) <= total(everything.usage)
