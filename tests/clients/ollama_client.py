"""The `ollama` client: chats, texts and models."""

import json
import urllib.error
import urllib.request

import ollama
from harness import check

ASK = [{"role": "user", "content": "写一首关于秋天的诗"}]
FEW = {"num_predict": 24, "seed": 7}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["北京", "上海"]}},
            "required": ["city"],
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"enum": [1, 2, 3]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
DURATIONS = ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"]


def client(server):
    return ollama.Client(host=server.base)


def chat(server, **more):
    asked = {"model": server.model, "messages": ASK, "options": FEW} | more
    return client(server).chat(**asked)


def generate(server, **more):
    asked = {"model": server.model, "prompt": "秋天", "options": FEW} | more
    return client(server).generate(**asked)


def refused(status, field, ask, *arguments, **more):
    """The request is refused with an error that names the field."""
    try:
        ask(*arguments, **more)
    except ollama.ResponseError as error:
        assert error.status_code == status and field in error.error, error
        return
    raise AssertionError(f"{field} was taken")


def ends(last):
    assert last.done and last.done_reason in ("stop", "length"), last
    assert last.prompt_eval_count > 0 and last.eval_count <= 24, last
    for name in DURATIONS:
        assert last[name] >= 0, last


@check
def a_chat_whole_and_streamed(server):
    whole = chat(server)
    ends(whole)
    assert whole.message.role == "assistant" and whole.model == server.model
    parts = list(chat(server, stream=True))
    ends(parts[-1])
    assert not any(part.done for part in parts[:-1])
    assert "".join(part.message.content for part in parts) == whole.message.content
    assert "".join(part.message.thinking or "" for part in parts) == (whole.message.thinking or "")
    assert parts[-1].eval_count == whole.eval_count


@check
def a_text_whole_and_streamed(server):
    for raw in (False, True):
        whole = generate(server, raw=raw)
        ends(whole)
        parts = list(generate(server, raw=raw, stream=True))
        ends(parts[-1])
        assert "".join(part.response for part in parts) == whole.response, raw
    # Templates may have a system message of their own.
    assert generate(server, system="你是一位诗人。" * 20).prompt_eval_count > generate(
        server
    ).prompt_eval_count


@check
def options(server):
    asked = {
        "temperature": 0.0, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repeat_penalty": 1.1,
        "presence_penalty": 0.1, "frequency_penalty": 0.1, "num_predict": 8, "num_ctx": 256,
        "num_keep": 4, "repeat_last_n": -1, "typical_p": 1.0, "stop": ["。"], "seed": -1,
    }
    found = chat(server, options=asked, keep_alive="5m")
    assert found.eval_count <= 8 and "。" not in found.message.content
    refused(400, "options.num_ctx", chat, server, options={"num_ctx": 10**9})
    refused(400, "options.num_predict", chat, server, options={"num_predict": -3})
    refused(400, "options.mirostat", chat, server, options={"mirostat": 2})
    refused(400, "options.repeat_last_n", chat, server, options={"repeat_last_n": 64})
    refused(400, "num_gpu", chat, server, options={"num_gpu": 1})
    refused(400, "options.temperature", chat, server, options={"temperature": -1.0})
    refused(400, "keep_alive", chat, server, keep_alive="soon")


@check
def fields_that_cannot_be_had_are_refused_by_name(server):
    refused(400, "suffix", generate, server, suffix="x")
    refused(400, "template", generate, server, template="{{ .Prompt }}")
    refused(400, "context", generate, server, context=[1, 2])
    refused(400, "images", generate, server, images=["AAAA"])
    refused(400, "think", chat, server, think="enormous")
    images = [ASK[0] | {"images": ["AAAA"]}]
    refused(400, "messages[0].images", chat, server, messages=images)
    refused(400, "messages[0].role", chat, server, messages=[{"role": "poet", "content": "x"}])
    refused(400, "top_logprobs", chat, server, top_logprobs=3)
    refused(404, "no-such", chat, server, model="no-such")
    status, body = server.post("/api/chat", {"model": server.model, "nonsense": 1})
    assert status == 400 and "nonsense" in body["error"], body


@check
def logprobs(server):
    for found in (
        chat(server, logprobs=True, top_logprobs=2),
        *[part for part in chat(server, logprobs=True, top_logprobs=2, stream=True)
          if part.logprobs],
    ):
        for token in found.logprobs or []:
            assert token.logprob <= 0 and len(token.top_logprobs) == 2, token


@check
def models(server):
    listed = client(server).list().models
    assert [model.model for model in listed] == [server.model], listed
    shown = client(server).show(server.model)
    assert "completion" in shown.capabilities, shown
    assert shown.modelinfo["general.parameter_count"] > 0
    if "tools" in server.traits:
        assert "tools" in shown.capabilities
    if "thinks" in server.traits:
        assert "thinking" in shown.capabilities
    chat(server, model=server.model + ":latest")
    running = client(server).ps().models
    assert running[0].model == server.model and running[0].context_length > 0, running
    refused(404, "no-such", client(server).show, "no-such")
    assert server.get("/api/version")["version"]


@check
def vectors(server):
    one = client(server).embed(server.model, "秋")
    two = client(server).embed(server.model, ["秋", "春天"], dimensions=4)
    assert one.prompt_eval_count < two.prompt_eval_count
    assert [len(vector) for vector in two.embeddings] == [4, 4]
    refused(400, "truncate", client(server).embed, server.model, "秋", truncate=True)


@check
def what_ollama_keeps_and_we_do_not(server):
    refused(404, "baimo serve", client(server).pull, "qwen3")
    refused(404, "baimo serve", client(server).push, "qwen3")
    refused(404, "baimo serve", client(server).delete, server.model)
    refused(404, "baimo serve", client(server).copy, server.model, "other")


@check
def loading_and_unloading(server):
    assert chat(server, messages=[]).done_reason == "load"
    assert generate(server, prompt="", keep_alive=0).done_reason == "unload"
    assert client(server).ps().models == []
    ends(chat(server, keep_alive=-1))
    assert len(client(server).ps().models) == 1


@check
def a_client_may_leave(server):
    for _ in chat(server, options={"num_predict": 512}, stream=True):
        break
    ends(chat(server))


@check
def ollamas_own_greeting(server):
    for method in ("GET", "HEAD"):
        request = urllib.request.Request(server.base + "/", method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            assert response.status == 200
            if method == "GET":
                assert response.read() == b"Ollama is running"


@check
def a_round_trip_of_a_tool(server):
    if "tools" not in server.traits:
        return "no tools"
    call = {"function": {"name": "get_weather", "arguments": {"city": "北京"}}}
    turns = [
        *ASK,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "晴", "tool_name": "get_weather"},
    ]
    without = chat(server, tools=[WEATHER])
    told = chat(server, messages=turns, tools=[WEATHER])
    assert told.prompt_eval_count > without.prompt_eval_count


@check
def an_answer_of_a_form(server):
    if "json" not in server.traits:
        return "its words have no braces"
    options = {"num_predict": 256, "temperature": 0.0}
    # Models of random numbers may think without end.
    more = {"format": SCHEMA, "options": options, "think": False}
    found = chat(server, **more)
    assert set(json.loads(found.message.content)) == {"name", "age"}, found
    parts = chat(server, **more, stream=True)
    assert "".join(part.message.content for part in parts) == found.message.content


@check
def thoughts(server):
    if "thinks" not in server.traits:
        return "does not think"
    for think in (True, False, "low", "high"):
        found = chat(server, think=think)
        ends(found)
        if think is False:
            assert not found.message.thinking, found
    return None
