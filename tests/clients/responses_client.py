"""The `openai` SDK: the Responses API."""

import json
import time

import openai
import pydantic
from harness import check
from openai.types.responses import Response, ResponseStreamEvent

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["北京", "上海"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
REQUIRED = (
    "id object created_at completed_at status incomplete_details model previous_response_id "
    "instructions output error tools tool_choice truncation parallel_tool_calls text top_p "
    "presence_penalty frequency_penalty top_logprobs temperature reasoning user usage "
    "max_output_tokens max_tool_calls store background service_tier metadata safety_identifier "
    "prompt_cache_key"
).split()


def client(server):
    return openai.OpenAI(base_url=server.base + "/v1", api_key="none", max_retries=0)


def asked(server, **more):
    seed = {"seed": 7} | more.pop("extra_body", {})
    base = {"model": server.model, "input": "写一首关于秋天的诗", "max_output_tokens": 24}
    return base | {"extra_body": seed} | more


def create(server, **more):
    return client(server).responses.create(**asked(server, **more))


def refused(server, field, **more):
    """The request is refused with a 400 that names the field."""
    try:
        create(server, **more)
    except openai.BadRequestError as error:
        assert error.body["param"].startswith(field), error.body
        return error.body
    raise AssertionError(f"{field} was taken")


def strictly(kind, value):
    """As the SDK's types have it, nothing coerced or guessed."""
    return pydantic.TypeAdapter(kind).validate_python(value.to_dict(mode="json"), strict=False)


@check
def whole_and_streamed_are_the_same(server):
    whole = create(server)
    strictly(Response, whole)
    told = whole.to_dict()
    missing = [field for field in REQUIRED if field not in told]
    assert not missing, missing
    assert whole.status in ("completed", "incomplete") and whole.output
    assert 0 < whole.usage.output_tokens <= 24
    text, last, numbers = "", None, []
    for event in create(server, stream=True):
        strictly(ResponseStreamEvent, event)
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            text += event.delta
        last = event
    assert numbers == list(range(len(numbers)))
    assert last.type == f"response.{whole.status}"
    assert text == whole.output_text == last.response.output_text
    assert last.response.usage.output_tokens == whole.usage.output_tokens


@check
def the_stream_helper_follows(server):
    with client(server).responses.stream(**asked(server)) as stream:
        text = "".join(event.delta for event in stream
                       if event.type == "response.output_text.delta")
    assert text == create(server).output_text


@check
def items_and_instructions(server):
    items = [
        {"role": "developer", "content": "短"},
        {"type": "message", "role": "user",
         "content": [{"type": "input_text", "text": "秋"}]},
    ]
    count = client(server).responses.input_tokens.count
    one = count(model=server.model, input=items).input_tokens
    assert one == count(model=server.model, input="秋", instructions="短").input_tokens
    assert one == create(server, input=items, max_output_tokens=1).usage.input_tokens


@check
def a_conversation_goes_on_from_what_is_kept(server):
    responses = client(server).responses
    first = create(server, input="写春")
    second = create(server, input="写秋", previous_response_id=first.id)
    said = [{"role": "user", "content": "写春"}]
    said += [item.to_dict() for item in first.output] + [{"role": "user", "content": "写秋"}]
    again = create(server, input=said, store=False)
    assert second.output_text == again.output_text
    assert second.usage.input_tokens == again.usage.input_tokens
    assert responses.retrieve(first.id).output_text == first.output_text
    listed = list(responses.input_items.list(second.id, order="asc"))
    assert len(listed) == 2 + len(first.output), listed
    paged = list(responses.input_items.list(second.id, limit=1))
    assert [item.id for item in paged] == [item.id for item in reversed(listed)]
    responses.delete(first.id)
    assert create(server, input="写冬", previous_response_id=second.id).output
    for gone in (first.id, again.id, "resp_none"):
        try:
            responses.retrieve(gone)
            raise AssertionError(f"{gone} is there")
        except openai.NotFoundError as error:
            assert error.body["code"] == "response_not_found", error.body
    body = refused(server, "previous_response_id", previous_response_id=first.id)
    assert body["code"] == "previous_response_not_found"


@check
def work_in_the_background(server):
    responses = client(server).responses
    waiting = create(server, background=True)
    assert waiting.status == "queued"
    while (now := responses.retrieve(waiting.id)).status in ("queued", "in_progress"):
        time.sleep(0.05)
    assert now.output_text == create(server).output_text
    assert responses.cancel(waiting.id).status == now.status
    long = create(server, background=True, max_output_tokens=500)
    cancelled = responses.cancel(long.id)
    assert cancelled.status in ("cancelled", "completed", "incomplete"), cancelled.status
    assert responses.retrieve(long.id).status == cancelled.status
    streamed = list(create(server, background=True, stream=True))
    resumed = list(responses.retrieve(streamed[0].response.id, stream=True, starting_after=3))
    assert [event.type for event in resumed] == [event.type for event in streamed[4:]]


@check
def logprobs(server):
    told = create(server, include=["message.output_text.logprobs"], top_logprobs=3,
                  temperature=0, max_output_tokens=6)
    parts = [part for item in told.output if item.type == "message" for part in item.content]
    if not parts:
        return "it says nothing in six tokens"
    for token in parts[0].logprobs:
        assert len(token.top_logprobs) == 3 and token.logprob <= 0
        assert abs(token.logprob - token.top_logprobs[0].logprob) < 1e-6


@check
def parsed_by_a_model_of_pydantic(server):
    class Person(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=8)
        age: int = pydantic.Field(ge=0, le=9)

    said = asked(server, max_output_tokens=300)
    if "thinks" in server.traits:
        # Models of random numbers may think without end.
        said["reasoning"] = {"effort": "none"}
    try:
        told = client(server).responses.parse(text_format=Person, **said)
    except openai.BadRequestError as error:
        # The built-in poet knows Chinese and no braces.
        assert "no text that it allows" in error.body["message"], error.body
        return "its words cannot write JSON"
    assert isinstance(told.output_parsed, Person), told.output_text


@check
def tools_round_trip(server):
    if "tools" not in server.traits:
        return "no tools"
    more = {"tools": [TOOL], "max_output_tokens": 400, "temperature": 1.0}
    for choice in ("required", {"type": "function", "name": "get_weather"}):
        told = create(server, tool_choice=choice, **more)
        call = [item for item in told.output if item.type == "function_call"][0]
        assert json.loads(call.arguments)["city"] in ("北京", "上海")
    streamed, whole = "", None
    for event in create(server, tool_choice="required", stream=True,
                        parallel_tool_calls=False, **more):
        strictly(ResponseStreamEvent, event)
        if event.type == "response.function_call_arguments.delta":
            streamed += event.delta
        whole = event
    calls = [item for item in whole.response.output if item.type == "function_call"]
    assert len(calls) == 1 and calls[0].arguments == streamed, whole
    said = [{"role": "user", "content": "北京天气"}, *[item.to_dict() for item in told.output]]
    said.append({"type": "function_call_output", "call_id": call.call_id, "output": "晴"})
    assert create(server, input=said, tools=[TOOL]).output
    assert create(server, input=said[-1:], previous_response_id=told.id, tools=[TOOL]).output


@check
def an_agent_s_tools(server):
    if "tools" not in server.traits:
        return "no tools"
    patch = {"type": "custom", "name": "apply_patch", "description": "Edits files",
             "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'}}
    docs = {"type": "namespace", "name": "mcp__docs", "description": "Documents",
            "tools": [{"type": "function", "name": "weather", "strict": False,
                       "parameters": TOOL["parameters"]}]}
    tools = [TOOL, patch, docs, {"type": "web_search"}]
    more = {"tools": tools, "max_output_tokens": 1000, "temperature": 1.0,
            "reasoning": {"effort": "none"}, "parallel_tool_calls": False}
    told = create(server, tool_choice={"type": "custom", "name": "apply_patch"}, **more)
    assert any("web_search" in notice for notice in told.to_dict()["notices"])
    kinds = {item.type for item in told.output}
    assert "custom_tool_call" in kinds or told.status == "incomplete", told
    told = create(server, extra_body={
        "tool_choice": {"type": "function", "name": "weather", "namespace": "mcp__docs"}}, **more)
    call = [item for item in told.output if item.type == "function_call"][0]
    assert (call.namespace, call.name) == ("mcp__docs", "weather"), call


@check
def thoughts_come_back(server):
    if "thinks" not in server.traits:
        return "it does not think aloud"
    told = create(server, include=["reasoning.encrypted_content"], max_output_tokens=200,
                  reasoning={"effort": "medium"}, store=False, temperature=1.0)
    thoughts = [item for item in told.output if item.type == "reasoning"]
    if not thoughts:
        return "it did not think"
    bare = {"type": "reasoning", "id": thoughts[0].id, "summary": [],
            "encrypted_content": thoughts[0].encrypted_content}
    count = client(server).responses.input_tokens.count
    question = {"role": "user", "content": "秋"}
    whole = [question, thoughts[0].to_dict(), {"role": "assistant", "content": "好"}]
    sealed = [question, bare, {"role": "assistant", "content": "好"}]
    tokens = [count(model=server.model, input=said).input_tokens for said in (whole, sealed)]
    assert tokens[0] == tokens[1]
    off = create(server, reasoning={"effort": "none"})
    assert not [item for item in off.output if item.type == "reasoning"]


@check
def what_cannot_be_had_is_refused_by_name(server):
    refused(server, "input", input=[])
    refused(server, "input[0].role", input=[{"role": "nobody", "content": ""}])
    image = {"type": "input_image", "image_url": "data:,", "detail": "auto"}
    refused(server, "input[0].content[0]", input=[{"role": "user", "content": [image]}])
    refused(server, "temperature", temperature=-1)
    refused(server, "conversation", conversation="conv_1")
    refused(server, "prompt", prompt={"id": "pmpt_1"})
    refused(server, "tools[0].type", tools=[{"type": "web_search"}])
    refused(server, "tool_choice", tool_choice="required")
    refused(server, "service_tier", service_tier="flex")
    refused(server, "background", background=True, store=False)
    refused(server, "reasoning.summary", reasoning={"summary": "detailed"})
    refused(server, "text.format.schema", text={"format": {"type": "json_schema", "name": "a"}})
    refused(server, "no_such_field", extra_body={"no_such_field": 1})
    body = refused(server, "input", input="春" * 200_000)
    assert body["code"] == "context_length_exceeded", body


@check
def leaving_a_stream_frees_its_place(server):
    for _ in range(100):
        stream = create(server, stream=True, max_output_tokens=500)
        next(iter(stream))
        stream.close()
    assert create(server).output
