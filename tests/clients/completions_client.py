"""The `openai` SDK: completions and embeddings; and what others call without an SDK: tokens, reranking, scores."""

import openai
from harness import check

TEXT = "春眠不觉晓，"


def client(server):
    return openai.OpenAI(base_url=server.base + "/v1", api_key="none", max_retries=0)


def complete(server, **more):
    asked = {"model": server.model, "prompt": TEXT, "max_tokens": 12, "seed": 5} | more
    return client(server).completions.create(**asked)


def refused(server, field, **more):
    """The request is refused with a 400 that names the field."""
    try:
        complete(server, **more)
    except openai.BadRequestError as error:
        assert error.body["param"].startswith(field), error.body
        return
    raise AssertionError(f"{field} was taken")


def ids(server, text):
    status, told = server.post("/tokenize", {"prompt": text})
    assert status == 200, told
    return told["tokens"]


@check
def whole_and_streamed_are_the_same(server):
    whole = complete(server, temperature=1.0)
    assert whole.usage.completion_tokens <= 12
    text, finish, last = "", None, None
    stream = complete(server, temperature=1.0, stream=True,
                      stream_options={"include_usage": True})
    for last in stream:
        for choice in last.choices:
            text += choice.text
            finish = choice.finish_reason or finish
    assert (text, finish) == (whole.choices[0].text, whole.choices[0].finish_reason)
    assert last.choices == [] and last.usage == whole.usage


@check
def prompts_of_every_kind(server):
    one = complete(server, temperature=0).choices[0].text
    tokens = ids(server, TEXT)
    assert complete(server, temperature=0, prompt=tokens).choices[0].text == one
    for prompts in ([TEXT, "山"], [tokens, ids(server, "山")]):
        choices = complete(server, temperature=0, prompt=prompts, n=2).choices
        assert [choice.index for choice in choices] == [0, 1, 2, 3]
        assert choices[0].text == choices[1].text == one


@check
def a_harness_scores_prompts(server):
    """As lm-eval's `local-completions` asks: the log-probability of each token of a prompt."""
    prompt = ids(server, TEXT + "处处闻啼鸟。")
    for most in (0, 1):
        told = complete(server, prompt=[prompt], echo=True, logprobs=1, max_tokens=most,
                        temperature=0).choices[0].logprobs
        assert len(told.token_logprobs) == len(told.tokens) == len(prompt) + most
        assert told.token_logprobs[0] is None and told.top_logprobs[0] is None
        for logprob, top in zip(told.token_logprobs[1:], told.top_logprobs[1:]):
            assert logprob <= max(top.values()) <= 0
    assert told.token_logprobs[-1] == max(told.top_logprobs[-1].values()), "greedy is likeliest"


@check
def prompt_logprobs(server):
    prompt = ids(server, TEXT)
    told = complete(server, max_tokens=1, extra_body={"prompt_logprobs": 1})
    told = told.choices[0].prompt_logprobs
    assert told[0] is None and len(told) == len(prompt)
    assert all(str(token) in one for token, one in zip(prompt[1:], told[1:]))


@check
def forms(server):
    said = lambda **more: complete(server, max_tokens=60, temperature=1.0, extra_body=more)
    assert said(guided_choice=["山", "水"]).choices[0].text in ("山", "水")


@check
def what_cannot_be_had_is_refused_by_name(server):
    refused(server, "suffix", suffix="end")
    refused(server, "best_of", best_of=3)
    refused(server, "logprobs", logprobs=99)
    refused(server, "prompt", prompt=[])
    refused(server, "prompt[1]", prompt=["a", ""])
    refused(server, "prompt", prompt="春" * 400_000)
    refused(server, "no_such_field", extra_body={"no_such_field": 1})


@check
def embeddings(server):
    embed = lambda **more: client(server).embeddings.create(model=server.model, **more)
    both = embed(input=["秋天", "春天"])
    assert [one.index for one in both.data] == [0, 1]
    plain = embed(input="秋天", encoding_format="float").data[0].embedding
    assert plain == both.data[0].embedding, "the SDK asks for base64 where nothing is said"
    assert abs(sum(x * x for x in plain) - 1) < 1e-5
    short = embed(input="秋天", dimensions=8).data[0].embedding
    assert len(short) == 8 and abs(sum(x * x for x in short) - 1) < 1e-5
    many = embed(input=[str(number) for number in range(300)])
    assert len(many.data) == 300 and many.usage.prompt_tokens >= 300
    try:
        embed(input="秋天", dimensions=1 << 20)
        raise AssertionError("more dimensions than there are")
    except openai.BadRequestError as error:
        assert error.body["param"] == "dimensions"


@check
def tokens_and_back(server):
    for asked in ({"prompt": TEXT, "add_special_tokens": False}, {"content": TEXT}):
        status, told = server.post("/tokenize", asked)
        assert status == 200 and told["count"] == len(told["tokens"])
        status, back = server.post("/detokenize", {"tokens": told["tokens"]})
        assert status == 200 and back["prompt"] == back["content"] == TEXT


@check
def chats_as_text(server):
    asked = {"messages": [{"role": "user", "content": TEXT}]}
    status, told = server.post("/apply-template", asked)
    if "chat" not in server.traits and status == 400:
        return "no chat template"
    assert status == 200 and TEXT in told["prompt"], told
    assert server.post("/tokenize", asked)[1]["count"] > 0


@check
def rerank(server):
    asked = {"query": "春", "documents": ["春天", {"text": "秋天"}], "top_n": 1}
    if "judges" not in server.traits:
        status, told = server.post("/v1/rerank", asked)
        assert status in (200, 400), told
        return "no judge"
    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        status, told = server.post(path, asked)
        assert status == 200 and len(told["results"]) == 1, told
        assert 0 <= told["results"][0]["relevance_score"] <= 1
    status, told = server.post("/v1/score", {"text_1": "春", "text_2": ["春天", "秋天"]})
    assert status == 200 and len(told["data"]) == 2, told
