"""The `openai` SDK: chat completions and models."""

import json
import threading

import openai
from harness import check

ASK = [{"role": "user", "content": "写一首关于秋天的诗"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": ["北京", "上海"]}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"enum": [1, 2, 3]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


# Models of random numbers may think without end.
QUIET = {"enable_thinking": False}


def client(server):
    return openai.OpenAI(base_url=server.base + "/v1", api_key="none", max_retries=0)


def create(server, **more):
    asked = {"model": server.model, "messages": ASK, "max_tokens": 24, "seed": 7} | more
    return client(server).chat.completions.create(**asked)


def refused(server, field, **more):
    """The request is refused with a 400 that names the field."""
    try:
        create(server, **more)
    except openai.BadRequestError as error:
        assert error.body["param"].startswith(field), error.body
        return error.body
    raise AssertionError(f"{field} was taken")


@check
def models(server):
    listed = client(server).models.list().data
    assert [model.id for model in listed] == [server.model], listed
    assert client(server).models.retrieve(server.model).id == server.model
    try:
        client(server).models.retrieve("no-such")
        raise AssertionError("a model that is not there")
    except openai.NotFoundError as error:
        assert error.body["code"] == "model_not_found"


@check
def whole_and_streamed_are_the_same(server):
    whole = create(server)
    usage = whole.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < usage.completion_tokens <= 24
    assert usage.prompt_tokens_details.cached_tokens >= 0
    text, reasoning, last, finish = "", "", None, None
    stream = create(server, stream=True, stream_options={"include_usage": True})
    for chunk in stream:
        last = chunk
        for choice in chunk.choices:
            assert chunk.usage is None
            text += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            finish = choice.finish_reason or finish
    assert last.choices == [] and last.usage.completion_tokens == usage.completion_tokens
    message = whole.choices[0].message
    assert text == (message.content or ""), (text, message.content)
    assert reasoning == (getattr(message, "reasoning_content", None) or "")
    assert finish == whole.choices[0].finish_reason


@check
def same_seed_same_answer_another_seed_another(server):
    said = lambda seed: create(server, seed=seed, temperature=1.0).choices[0].message.content
    assert said(1) == said(1)
    assert len({said(seed) for seed in range(6)}) > 1


@check
def several_answers(server):
    whole = create(server, n=3, temperature=1.0)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    indices = set()
    for chunk in create(server, n=2, stream=True):
        indices.update(choice.index for choice in chunk.choices)
    assert indices == {0, 1}


@check
def logprobs(server):
    whole = create(server, logprobs=True, top_logprobs=3, temperature=0, max_tokens=6)
    content = whole.choices[0].logprobs.content
    for token in content:
        assert len(token.top_logprobs) == 3 and token.logprob <= 0
        assert abs(token.logprob - token.top_logprobs[0].logprob) < 1e-6, "greedy is likeliest"
        assert bytes(token.bytes).decode(errors="replace") == token.token
    streamed = []
    stream = create(server, logprobs=True, top_logprobs=3, temperature=0, max_tokens=6, stream=True)
    for chunk in stream:
        for choice in chunk.choices:
            streamed += choice.logprobs.content if choice.logprobs else []
    assert [token.token for token in streamed] == [token.token for token in content]


@check
def logit_bias(server):
    first = create(server, logprobs=True, temperature=0, max_tokens=1)
    if "\ufffd" in first.choices[0].logprobs.content[0].token:
        return "its tokens are no characters"
    ids = server.post("/tokenize", {"content": first.choices[0].logprobs.content[0].token})[1]
    token = ids["tokens"][-1]
    other = create(server, logprobs=True, temperature=0, max_tokens=1, logit_bias={token: -100})
    assert other.choices[0].logprobs.content[0].token != first.choices[0].logprobs.content[0].token


@check
def stop_texts(server):
    free = create(server, temperature=0, max_tokens=24).choices[0].message.content
    if not free or len(free) < 4:
        return "it says too little"
    stop = free[2:4]
    held = create(server, temperature=0, max_tokens=24, stop=stop).choices[0]
    assert held.message.content == free[: free.index(stop)] and held.finish_reason == "stop"


@check
def length(server):
    whole = create(server, max_tokens=2, extra_body={"ignore_eos": True})
    assert whole.choices[0].finish_reason == "length" and whole.usage.completion_tokens == 2
    whole = create(server, max_tokens=openai.NOT_GIVEN, max_completion_tokens=3,
                   extra_body={"ignore_eos": True})
    assert whole.usage.completion_tokens == 3


@check
def what_cannot_be_had_is_refused_by_name(server):
    refused(server, "n", n=0)
    refused(server, "temperature", temperature=-1)
    refused(server, "top_p", top_p=2)
    refused(server, "top_logprobs", logprobs=True, top_logprobs=99)
    refused(server, "service_tier", service_tier="flex")
    refused(server, "store", store=True)
    refused(server, "modalities", modalities=["text", "audio"])
    refused(server, "no_such_field", extra_body={"no_such_field": 1})
    refused(server, "audio", audio={"voice": "alloy", "format": "mp3"})
    refused(server, "messages[0].role", messages=[{"role": "nobody", "content": ""}])
    refused(server, "messages[0].content[0]", messages=[{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}])
    refused(server, "tool_choice", tool_choice="required")
    refused(server, "messages", messages=[{"role": "user", "content": "诗" * 600_000}])


@check
def a_context_that_is_too_long_says_so(server):
    body = refused(server, "messages", messages=[{"role": "user", "content": "春" * 200_000}])
    assert body["code"] == "context_length_exceeded", body


@check
def leaving_a_stream_frees_its_place(server):
    for _ in range(100):
        stream = create(server, stream=True, max_tokens=2000, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
    assert create(server).choices[0].message is not None


@check
def many_at_once_say_what_each_says_alone(server):
    alone = [create(server, seed=seed, temperature=1.0).choices[0].message.content
             for seed in range(12)]
    together = [None] * 12

    def ask(seed):
        together[seed] = create(server, seed=seed, temperature=1.0).choices[0].message.content

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(12)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert together == alone


@check
def json_schema(server):
    if "json" not in server.traits:
        return "its words have no braces"
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA,
                                                   "strict": True}}
    for stream in (False, True):
        told = create(server, response_format=form, max_tokens=400, temperature=1.0, stream=stream,
                      extra_body=QUIET if "thinks" in server.traits else None)
        if stream:
            text = "".join(c.delta.content or "" for chunk in told for c in chunk.choices)
        else:
            text = told.choices[0].message.content
        person = json.loads(text)
        assert set(person) == {"name", "age"} and person["age"] in (1, 2, 3), text


@check
def json_object(server):
    if "json" not in server.traits:
        return "its words have no braces"
    told = create(server, response_format={"type": "json_object"}, max_tokens=400, seed=3,
                  extra_body=QUIET if "thinks" in server.traits else None)
    choice = told.choices[0]
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(choice.message.content), dict)
    else:
        assert choice.message.content.lstrip().startswith("{")


@check
def forms_of_other_servers(server):
    quiet = QUIET if "thinks" in server.traits else {}
    said = lambda **more: create(server, max_tokens=60, temperature=1.0, extra_body=more | quiet)
    assert said(guided_choice=["山", "水"]).choices[0].message.content in ("山", "水")
    if "json" not in server.traits:
        return
    date = said(guided_regex="[0-9]{4}-[0-9]{2}").choices[0].message.content
    assert len(date) == 7 and date[4] == "-", date
    text = said(grammar='root ::= "yes" | "no"').choices[0].message.content
    assert text in ("yes", "no"), text
    refused(server, "response_format", extra_body={"guided_choice": ["a"], "guided_regex": "b"})


@check
def tools_round_trip(server):
    if "tools" not in server.traits:
        return "no tools"
    for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
        told = create(server, tools=TOOLS, tool_choice=choice, max_tokens=1000, temperature=1.0,
                      parallel_tool_calls=False, extra_body=QUIET)
        message = told.choices[0].message
        assert told.choices[0].finish_reason == "tool_calls", told
        call = message.tool_calls[0]
        assert call.function.name == "get_weather"
        assert json.loads(call.function.arguments)["city"] in ("北京", "上海")
    calls = {}
    stream = create(server, tools=TOOLS, tool_choice="required", max_tokens=1000, stream=True,
                    parallel_tool_calls=False, extra_body=QUIET)
    for chunk in stream:
        for choice in chunk.choices:
            for delta in choice.delta.tool_calls or []:
                one = calls.setdefault(delta.index, {"name": "", "arguments": "", "id": None})
                one["id"] = delta.id or one["id"]
                one["name"] += delta.function.name or ""
                one["arguments"] += delta.function.arguments or ""
    assert len(calls) == 1 and calls[0]["name"] == "get_weather" and calls[0]["id"], calls
    json.loads(calls[0]["arguments"])
    answer = {"role": "tool", "tool_call_id": call.id, "content": "晴，20 度"}
    again = create(server, tools=TOOLS, messages=[*ASK, message.model_dump(exclude_none=True),
                                                  answer])
    assert again.choices[0].finish_reason in ("stop", "length", "tool_calls")


@check
def thinking(server):
    if "thinks" not in server.traits:
        return "it does not think aloud"
    told = create(server, max_tokens=300, extra_body={"thinking_budget": 8, "ignore_eos": False})
    details = told.usage.completion_tokens_details
    assert details.reasoning_tokens <= 8 + 8, details
    off = create(server, max_tokens=30, extra_body={"enable_thinking": False})
    assert not getattr(off.choices[0].message, "reasoning_content", None)
    off = create(server, max_tokens=30, reasoning_effort="none")
    assert not getattr(off.choices[0].message, "reasoning_content", None)
