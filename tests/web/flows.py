"""What a user does with the page, from the first message to the last export. See README.md."""

import json
import re
import time

import keeping  # noqa: F401  the flows in it
import rendering  # noqa: F401  and in this
from browser import expect, flow, main

TOOLS = [{"name": "weather", "parameters": {"type": "object"}}, {"name": "clock"}]


@flow()
def a_message_is_sent_and_its_answer_streams_in(chat):
    assert chat.ask("hello there") == "You said: hello there. 百模在此。"
    body = chat.sent
    assert body.pop("messages") == [{"role": "user", "content": "hello there"}]
    # A setting that nobody touched is not sent.
    assert body.pop("stream_options") == {"include_usage": True}
    assert body == {"model": "poet", "stream": True, "timings_per_token": True}
    statistics = chat.last.locator(".statistics").inner_text()
    assert "prompt 1,204 (1,180 cached)" in statistics, statistics
    assert "answer 87 (40 thinking)" in statistics, statistics


@flow()
def an_answer_is_seen_while_it_is_written_and_the_stop_button_ends_it(chat):
    chat.send("slow", wait=False)
    content = chat.last.locator(".content")
    expect(content).to_contain_text("word5")
    assert chat.page.locator("#main.busy").count() == 1
    assert chat.last.get_attribute("aria-busy") == "true"
    chat.page.get_by_role("button", name="Stop").click()
    chat.idle()
    assert "word399" not in chat.text
    expect(chat.last.locator(".notice")).to_have_text("Stopped")
    assert chat.mock.ended_early.wait(10), "the server was not told"
    # What arrived is a part of the conversation.
    kept = chat.text.strip()
    chat.send("go on")
    assert chat.sent["messages"][1]["content"].strip() == kept


@flow()
def escape_stops(chat):
    chat.send("slow", wait=False)
    expect(chat.last.locator(".content")).to_contain_text("word2")
    chat.page.keyboard.press("Escape")
    chat.idle()
    expect(chat.last.locator(".notice")).to_have_text("Stopped")
    assert chat.mock.ended_early.wait(10), "the server was not told"


@flow()
def the_rate_is_of_the_tokens_after_the_first(chat):
    chat.send("think a little")
    rate = chat.last.locator(".statistics").inner_text()
    found = re.match(r"([\d.,]+) tokens/s", rate)
    # 86 tokens in nine pauses of 60 ms, and whatever the machine adds.
    assert found and 20 < float(found[1].replace(",", "")) < 260, rate


@flow()
def a_rate_the_server_tells_is_shown(chat):
    chat.send("timed")
    assert chat.last.locator(".statistics").inner_text().startswith("12.3 tokens/s")


@flow()
def retry_asks_the_same_again_in_place_of_the_answer(chat):
    chat.ask("one")
    chat.ask("two")
    first = chat.sent["messages"]
    chat.action("Retry", chat.last)
    chat.idle()
    assert len(chat.mock.seen) == 3 and chat.sent["messages"] == first
    assert chat.answers.count() == 2
    # Only the last answer can be had again without losing what follows it.
    assert chat.page.get_by_role("button", name="Retry").count() == 1


@flow()
def an_edited_message_replaces_all_that_follows(chat):
    chat.ask("one")
    chat.ask("two")
    chat.action("Edit", chat.questions.first)
    editor = chat.page.locator(".editor textarea")
    expect(editor).to_have_value("one")
    editor.press("Escape")
    expect(chat.questions.first.locator(".bubble")).to_have_text("one")
    chat.action("Edit", chat.questions.first)
    editor.fill("uno")
    editor.press("Enter")
    chat.idle()
    assert chat.sent["messages"] == [{"role": "user", "content": "uno"}]
    assert chat.answers.count() == 1 and "uno" in chat.text


@flow()
def thoughts_are_open_while_they_come_and_folded_after(chat):
    chat.send("think", wait=False)
    thoughts = chat.last.locator("details.thinking")
    expect(thoughts).to_have_attribute("open", "")
    expect(thoughts.locator("summary")).to_contain_text("Thinking · ")
    expect(thoughts).to_contain_text("weigh both sides")
    chat.idle()
    expect(thoughts).not_to_have_attribute("open", "")
    expect(thoughts.locator("summary")).to_have_text(re.compile(r"Thought for 0\.[3-9] s"))
    assert chat.text == "The second side wins."
    thoughts.locator("summary").click()
    expect(thoughts.locator(".prose em")).to_be_visible()
    chat.send("next")
    assert chat.sent["messages"][1]["reasoning_content"].startswith("First I weigh")


@flow()
def thoughts_that_the_user_folded_stay_folded(chat):
    chat.send("think", wait=False)
    thoughts = chat.last.locator("details.thinking")
    expect(thoughts).to_have_attribute("open", "")
    thoughts.locator("summary").click()
    expect(thoughts.locator(".prose")).not_to_be_visible()
    chat.page.wait_for_timeout(150)
    expect(thoughts).not_to_have_attribute("open", "")
    chat.idle()


@flow()
def the_switch_for_thinking_is_sent_and_kept(chat):
    for value, sent in (("On", True), ("Off", False), ("Auto", None)):
        chat.page.get_by_role("radio", name=value, exact=True).check()
        chat.send("x")
        assert chat.sent.get("enable_thinking") is sent, value
    chat.page.get_by_role("radio", name="Off", exact=True).check()
    chat.page.reload()
    expect(chat.page.locator("#thinking input[value=off]")).to_be_checked()


@flow()
def tool_calls_are_shown_and_answered(chat):
    chat.settings(tools=json.dumps(TOOLS))
    chat.send("tools")
    assert chat.sent["tools"] == [{"type": "function", "function": tool} for tool in TOOLS]
    assert "tool_choice" not in chat.sent
    cards = chat.last.locator(".call")
    expect(cards).to_have_count(2)
    expect(cards.nth(0)).to_contain_text("weather")
    expect(cards.nth(0).locator("pre")).to_have_text('{\n  "city": "杭州",\n  "days": 3\n}')
    # A message cannot pass over a call that waits for its result.
    chat.send("never mind", wait=False)
    expect(chat.page.locator("#toast")).to_contain_text("waits for a tool's result")
    expect(chat.prompt).to_have_value("never mind")
    expect(cards.nth(0).locator("textarea")).to_be_focused()
    cards.nth(0).locator("textarea").fill('{"sky": "clear"}')
    go_on = chat.page.get_by_role("button", name="Send and go on")
    go_on.click()
    expect(cards.nth(1).locator("textarea")).to_be_focused()
    cards.nth(1).locator("textarea").fill("noon")
    go_on.click()
    chat.idle()
    assert chat.text == 'The tools said: {"sky": "clear"} and noon.'
    called, *results = chat.sent["messages"][1:]
    assert called["reasoning_content"] == "I need the weather." and called["content"]
    assert called["tool_calls"][0] == {
        "id": "functions.weather:0",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"杭州","days":3}'},
    }
    assert results[1] == {"role": "tool", "tool_call_id": "functions.clock:1", "content": "noon"}
    expect(chat.answers.first.locator(".call-result")).to_have_count(2)
    expect(chat.answers.first.locator("textarea")).to_have_count(0)
    # The same after a reload: the calls are kept with their results.
    chat.page.reload()
    expect(chat.answers.first.locator(".call-result")).to_have_count(2)


@flow()
def parameters_are_sent(chat):
    values = {"temperature": "0.6", "top_p": "0.95", "top_k": "20", "max_tokens": "512", "seed": "7"}
    chat.settings(**values, system="Be brief.")
    chat.page.locator("#model").select_option("deep-thinker-30b-a3b")
    chat.send("x")
    for name, value in values.items():
        assert chat.sent[name] == json.loads(value), name
    assert chat.sent["model"] == "deep-thinker-30b-a3b"
    assert chat.sent["messages"][0] == {"role": "system", "content": "Be brief."}
    expect(chat.page.locator("#chips")).to_contain_text("Temperature 0.6")
    # A new conversation begins with them.
    chat.page.get_by_role("button", name="New chat").click()
    chat.send("y")
    assert chat.sent["seed"] == 7 and len(chat.sent["messages"]) == 2
    chat.page.locator("#open-settings").click()
    chat.page.get_by_role("button", name="Reset all").click()
    chat.send("z")
    assert "seed" not in chat.sent and chat.sent["model"] == "deep-thinker-30b-a3b"


@flow()
def whether_tools_are_called_is_sent_with_them_only(chat):
    chat.settings(tools=json.dumps(TOOLS), choice="required")
    chat.send("x")
    assert chat.sent["tool_choice"] == "required"
    chat.settings(tools="")
    chat.send("x")
    assert "tool_choice" not in chat.sent and "tools" not in chat.sent


@flow()
def a_setting_that_is_wrong_is_named_and_nothing_is_sent(chat):
    wrong = (("temperature", "9"), ("seed", "1.5"), ("max_tokens", "0"), ("tools", "{"))
    for name, value in wrong:
        chat.settings(**{name: value})
        chat.send("keep me", wait=False)
        field = chat.page.locator(f"#set-{name}")
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(chat.page.locator(f"#problem-{name}")).to_be_visible()
        expect(chat.prompt).to_have_value("keep me")
        field.fill("")
        chat.page.locator("#close-settings").click()
    assert chat.mock.seen == [] and chat.questions.count() == 0


@flow()
def a_schema_is_sent_and_its_answer_is_laid_out(chat):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    chat.settings(format="json_schema", schema=json.dumps(schema))
    chat.send('say {"n":1}')
    wanted = {"name": "answer", "schema": schema, "strict": True}
    assert chat.sent["response_format"] == {"type": "json_schema", "json_schema": wanted}
    expect(chat.last.locator("pre")).to_have_text('{\n  "n": 1\n}')
    chat.settings(format="json_object")
    chat.send("x")
    assert chat.sent["response_format"] == {"type": "json_object"}


@flow()
def a_key_is_asked_for_until_it_fits(chat):
    chat.mock.needs_key = True
    chat.page.reload()
    dialog = chat.page.locator("dialog")
    for key, note in (("wrong", "kept until"), ("correct-key", "did not accept")):
        expect(dialog).to_contain_text(note)
        dialog.locator("input").fill(key)
        dialog.locator("input").press("Enter")
    expect(chat.page.locator("#model")).to_have_value("poet")
    assert "hello" in chat.ask("hello")
    chat.page.reload()
    assert "again" in chat.ask("again")
    kept = chat.page.evaluate("JSON.stringify(localStorage)")
    assert "correct-key" not in kept, "the key outlives the tab"


@flow()
def without_a_key_the_refusal_is_shown(chat):
    chat.mock.needs_key = True
    chat.send("hello", wait=False)
    chat.page.locator("dialog").get_by_role("button", name="Cancel").click()
    chat.idle()
    expect(chat.last.locator(".problem")).to_contain_text("A valid key is needed.")


@flow()
def a_full_server_is_asked_again_by_itself(chat):
    chat.mock.refusals_left = 2
    chat.send("patience", wait=False)
    expect(chat.last.locator(".notice")).to_contain_text("The server is full")
    expect(chat.last.locator(".notice")).to_contain_text("Next try in 1 s")
    chat.idle()
    assert "patience" in chat.text and len(chat.mock.seen) == 3


@flow()
def waiting_for_a_full_server_can_be_stopped(chat):
    chat.mock.refusals_left = 100
    chat.send("patience", wait=False)
    expect(chat.last.locator(".notice")).to_contain_text("Next try")
    chat.page.keyboard.press("Escape")
    chat.idle()
    tried = len(chat.mock.seen)
    time.sleep(1.5)
    assert len(chat.mock.seen) == tried


@flow()
def a_refusal_says_what_was_wrong_and_can_be_retried(chat):
    chat.send("refuse")
    problem = chat.last.locator(".problem")
    expect(problem).to_contain_text("400 · invalid_value · field temperature")
    expect(problem).to_contain_text("temperature is 9, at most 2 is wanted")
    chat.action("Retry", chat.last)
    chat.idle()
    assert len(chat.mock.seen) == 2
    # The answer that never was is not sent along.
    chat.send("then")
    roles = [message["role"] for message in chat.sent["messages"]]
    assert roles == ["user", "user"], roles


@flow()
def a_stream_that_breaks_off_keeps_what_came(chat):
    assert chat.ask("break") == "Half an ans"
    expect(chat.last.locator(".problem")).to_contain_text("The answer broke off")
    assert chat.ask("fail") == "Some text."
    expect(chat.last.locator(".problem")).to_contain_text("the model failed")


@flow()
def a_server_that_is_gone_is_said_so(chat):
    expect(chat.page.locator("#model")).to_have_value("poet")
    chat.mock.gone = True
    chat.send("hello")
    expect(chat.last.locator(".problem")).to_contain_text("The server cannot be reached")


if __name__ == "__main__":


    main()
