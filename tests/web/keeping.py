"""Conversations that are kept, languages, keyboards, phones: what surrounds the chat."""

import json
import re

from axe_playwright_python.sync_playwright import Axe
from browser import PHONE, WIDE, expect, flow
from mock import PAGE


@flow()
def a_reload_keeps_the_conversation(chat):
    chat.ask("remember me")
    chat.page.reload()
    expect(chat.questions.first.locator(".bubble")).to_have_text("remember me")
    assert "remember me" in chat.text
    expect(chat.last.locator(".statistics")).to_contain_text("prompt 1,204")
    chat.send("and me")
    assert len(chat.sent["messages"]) == 3


@flow()
def a_reload_while_an_answer_is_written_keeps_its_beginning(chat):
    chat.send("slow", wait=False)
    expect(chat.last.locator(".content")).to_contain_text("word9")
    chat.page.reload()
    expect(chat.last.locator(".content")).to_contain_text("word9")
    expect(chat.last.locator(".problem")).to_contain_text("The answer broke off")
    assert chat.mock.ended_early.wait(10)


@flow()
def conversations_are_listed_renamed_and_deleted(chat):
    chat.ask("first talk")
    chat.page.get_by_role("button", name="New chat").click()
    expect(chat.page.locator("#greeting")).to_be_visible()
    chat.ask("second talk")
    items = chat.page.locator("#conversations li")
    assert items.all_inner_texts() == ["second talk", "first talk"]
    items.nth(1).locator("a").click()
    expect(chat.questions).to_have_text(["first talk"])
    chat.page.go_back()
    expect(chat.questions).to_have_text(["second talk"])

    items.nth(1).hover()
    items.nth(1).get_by_role("button", name="Rename").click()
    dialog = chat.page.locator("dialog")
    dialog.locator("input").fill("renamed")
    dialog.get_by_role("button", name="Save").click()
    expect(items.nth(1)).to_have_text("renamed")

    chat.page.locator("#menu-button").click()
    chat.page.locator("#menu").get_by_role("button", name="Delete").click()
    expect(dialog).to_contain_text("“second talk”")
    dialog.get_by_role("button", name="Cancel").click()
    expect(items).to_have_count(2)
    chat.page.locator("#menu-button").click()
    chat.page.locator("#menu").get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(items).to_have_text(["renamed"])
    expect(chat.page.locator("#greeting")).to_be_visible()
    kept = chat.page.evaluate("Object.keys(localStorage).filter((k) => k.includes('tion.')).length")
    assert kept == 1, "a deleted conversation is still there"


@flow()
def a_long_title_fits_the_list(chat):
    chat.ask("a title that goes on and on " * 9)
    inside = chat.page.locator("#conversations a").bounding_box()
    around = chat.page.locator("#conversations").bounding_box()
    assert inside["x"] + inside["width"] <= around["x"] + around["width"], (inside, around)


@flow()
def an_answer_goes_on_while_another_conversation_is_read(chat):
    chat.send("long", wait=False)
    expect(chat.last.locator(".content")).to_contain_text("Paragraph 1")
    chat.page.get_by_role("button", name="New chat").click()
    expect(chat.page.locator("#conversations .running")).to_have_text("long")
    chat.ask("meanwhile")
    chat.page.locator("#conversations a").get_by_text("long").click()
    expect(chat.last.locator(".content")).to_contain_text("Paragraph 59")
    chat.idle()
    assert "meanwhile" not in chat.text


def exported(chat, button):
    with chat.page.expect_download() as waiting:
        button.click()
    download = waiting.value
    with open(download.path(), encoding="utf-8") as file:
        return download.suggested_filename, file.read()


def menu(chat, name):
    chat.page.locator("#menu-button").click()
    return chat.page.locator("#menu").get_by_role("button", name=name)


@flow()
def conversations_leave_as_files_and_come_back(chat):
    chat.settings(system="Be calm.", temperature="0.5")
    chat.send("think 百模")
    name, markdown = exported(chat, menu(chat, "Markdown"))
    assert name == "think-百模.md", name
    for part in ("# think 百模", "Be calm.", "## You\n\nthink 百模", "## poet", "<summary>Thoughts"):
        assert part in markdown, part
    assert markdown.rstrip().endswith("The second side wins.")

    chat.settings(tools='[{"name": "weather"}]')
    chat.send("tools")
    _, text = exported(chat, menu(chat, "JSON"))
    _, everything = exported(chat, chat.page.get_by_role("button", name="Export all"))
    assert json.loads(text) == json.loads(everything)
    before = chat.page.locator("#log").inner_text()

    chat.page.evaluate("localStorage.clear()")
    chat.page.goto("about:blank")
    chat.open()
    expect(chat.page.locator("#greeting")).to_be_visible()
    give(chat, text)
    expect(chat.questions).to_have_count(2)
    assert chat.page.locator("#log").inner_text() == before
    chat.page.locator("#open-settings").click()
    expect(chat.page.locator("#set-system")).to_have_value("Be calm.")


def give(chat, text):
    file = {"name": "x.json", "mimeType": "application/json", "buffer": text.encode()}
    chat.page.locator("#file").set_input_files(file)


@flow()
def a_file_that_is_no_export_is_refused_with_the_place(chat):
    conversation = {"title": "t", "created": 1, "updated": 1, "messages": [{"role": "root"}]}
    whole = {"format": "baimo.conversations", "version": 1, "conversations": [conversation]}
    wrong = [
        ("{", "Nothing was imported"),
        ("[]", "baimo.conversations"),
        (json.dumps(whole), "conversations[0].messages[0].role"),
    ]
    for text, words in wrong:
        give(chat, text)
        expect(chat.page.locator("#toast")).to_contain_text(words)
    expect(chat.page.locator("#conversations a")).to_have_count(0)


@flow()
def a_hostile_import_stays_text(chat):
    bad = "<img src=x onerror=window.hit=1>"
    call = {"id": bad, "function": {"name": bad, "arguments": bad}}
    meta = {"model": bad, "state": bad, "usage": {"prompt_tokens": bad}, "error": {"message": bad}}
    answer = {"role": "assistant", "content": bad, "reasoning_content": bad, "tool_calls": [call]}
    messages = [
        {"role": "user", "content": bad},
        {**answer, "meta": meta},
        {"role": "tool", "tool_call_id": bad, "name": bad, "content": bad},
        {**answer, "meta": {**meta, "state": "failed"}},
    ]
    settings = {"model": bad, "thinking": bad, "system": bad, "temperature": bad, "__proto__": bad}
    talk = {"title": bad, "created": 1, "updated": 1, "settings": settings, "messages": messages}
    whole = {"format": "baimo.conversations", "version": 1, "conversations": [talk]}
    give(chat, json.dumps(whole))
    expect(chat.questions).to_have_count(1)
    chat.page.wait_for_timeout(200)
    assert chat.page.locator("#log img, #sidebar nav img").count() == 0
    assert chat.page.evaluate("window.hit") is None


@flow()
def a_full_storage_is_said_and_the_chat_goes_on(chat):
    chat.page.evaluate(
        """() => {
          for (let size = 4_000_000; size > 0; size = size >> 1) {
            try {
              localStorage.setItem(`fill${size}`, "x".repeat(size));
            } catch {}
          }
        }"""
    )
    chat.send("say " + "long text " * 50)
    expect(chat.page.locator("#toast")).to_contain_text("storage is full")
    assert "long text" in chat.text


@flow()
def enter_that_ends_a_composition_does_not_send(chat):
    session = chat.page.context.new_cdp_session(chat.page)
    chat.prompt.focus()
    session.send("Input.imeSetComposition", {"text": "ni hao", "selectionStart": 6, "selectionEnd": 6})
    key = {"type": "rawKeyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    session.send("Input.dispatchKeyEvent", key)
    expect(chat.questions).to_have_count(0)
    session.send("Input.insertText", {"text": "你好"})
    expect(chat.prompt).to_have_value("你好")
    # What browsers tell while composing, and what Safari tells just after.
    for composing, code in ((True, 13), (False, 229)):
        chat.prompt.evaluate(
            """(area, [isComposing, keyCode]) => {
              const options = { key: "Enter", keyCode, isComposing, bubbles: true };
              area.dispatchEvent(new KeyboardEvent("keydown", options));
            }""",
            [composing, code],
        )
    expect(chat.questions).to_have_count(0)
    chat.prompt.press("Shift+Enter")
    expect(chat.prompt).to_have_value("你好\n")
    chat.prompt.press("Enter")
    chat.idle()
    assert chat.sent["messages"][0]["content"] == "你好\n"


@flow(viewport=PHONE, has_touch=True, is_mobile=True)
def a_phone_shows_all_without_sideways_scrolling(chat):
    table = "| " + " | ".join(f"a column {i}" for i in range(12)) + " |\n" + "|---" * 12 + "|\n"
    code = "```\n" + "x" * 300 + "\n```\n"
    chat.send(f"say {'w' * 400}\n\n{table}\n{code}\n**https://example.org/{'a' * 200}**")
    chat.settings(tools=json.dumps([{"name": "n" * 80}]), system="s", temperature="1", seed="1")
    chat.send("tools")
    assert chat.overflow() == 0
    expect(chat.page.locator("#sidebar a").first).not_to_be_visible()
    chat.page.get_by_role("button", name="Open the list").click()
    expect(chat.page.locator("#sidebar a").first).to_be_visible()
    assert chat.overflow() == 0
    chat.page.locator("#new").click()
    expect(chat.page.locator("#sidebar a").first).not_to_be_visible()
    expect(chat.page.locator("#greeting")).to_be_visible()
    chat.page.locator("#open-settings").click()
    assert chat.overflow() == 0
    boxes = [box.bounding_box() for box in chat.page.locator("button:visible").all()]
    assert all(box["height"] >= 28 for box in boxes), boxes


@flow(locale="zh-CN")
def a_chinese_browser_gets_a_chinese_page_and_can_switch(chat):
    expect(chat.page.locator("#new")).to_have_text("新对话")
    assert chat.page.locator("html").get_attribute("lang") == "zh-CN"
    chat.send("think 一下")
    expect(chat.last.locator("summary")).to_contain_text("已思考")
    expect(chat.last.locator(".statistics")).to_contain_text("1,180 来自缓存")
    chat.page.locator("#language").select_option("en")
    expect(chat.last.locator("summary")).to_contain_text("Thought for")
    expect(chat.page.get_by_role("button", name="Retry")).to_be_visible()
    chat.page.reload()
    expect(chat.page.locator("#new")).to_have_text("New chat")
    expect(chat.last.locator("summary")).to_contain_text("Thought for")


@flow()
def every_word_is_in_both_languages_and_used(chat):
    sources = {file.name: file.read_text(encoding="utf-8") for file in PAGE.iterdir()}
    table = re.findall(r"^  (\w+): \[(.*?)\],$", sources.pop("text.js"), re.M | re.S)
    assert len(table) > 100
    rest = "\n".join(sources.values())
    for key, words in table:
        assert len(re.findall(r'"((?:[^"\\\\]|\\\\.)+)"', words)) == 2, (key, words)
        assert re.search(rf'["\s{{]{key}["\s:,]', rest), f"{key} is not used"
    used = re.findall(r'\bt\("(\w+)"|data-(?:text|label|hint)="(\w+)"', rest)
    missing = {first or second for first, second in used} - {key for key, _ in table}
    assert not missing, missing


@flow()
def what_was_typed_survives_a_reload(chat):
    chat.prompt.fill("not sent yet")
    chat.page.reload()
    expect(chat.prompt).to_have_value("not sent yet")
    chat.prompt.press("Enter")
    chat.idle()
    chat.page.reload()
    expect(chat.prompt).to_have_value("")


@flow()
def the_end_stays_in_view_until_the_reader_scrolls_away(chat):
    gap = "(node) => node.scrollHeight - node.scrollTop - node.clientHeight"
    scroller = chat.page.locator("#scroller")
    chat.send("long")
    chat.page.wait_for_timeout(100)
    assert scroller.evaluate(gap) < 2
    chat.send("slow", wait=False)
    expect(chat.last.locator(".content")).to_contain_text("word5")
    scroller.hover()
    chat.page.mouse.wheel(0, -600)
    latest = chat.page.get_by_role("button", name="Go to the latest")
    expect(latest).to_be_visible()
    before = scroller.evaluate("(node) => node.scrollTop")
    expect(chat.last.locator(".content")).to_contain_text("word99 ")
    assert scroller.evaluate("(node) => node.scrollTop") == before, "the page was moved"
    latest.click()
    expect(latest).not_to_be_visible()
    chat.page.keyboard.press("Escape")
    chat.idle()


@flow()
def the_page_works_by_keyboard_and_names_all_it_has(chat):
    expect(chat.prompt).to_be_focused()
    chat.ask("x")
    nameless = chat.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea")]
            .filter((n) => n.type !== "file" && n.checkVisibility() && !n.labels?.length
              && !n.getAttribute("aria-label") && !n.textContent.trim())
            .map((n) => n.outerHTML)"""
    )
    assert nameless == [], nameless
    expect(chat.page.locator("[role=status]")).to_have_text("The answer is complete")
    chat.page.locator("#open-settings").press("Enter")
    expect(chat.page.locator("#set-system")).to_be_visible()
    chat.page.locator("#set-system").press("Escape")
    expect(chat.page.locator("#open-settings")).to_be_focused()


def accessible(chat):
    """Looks for what axe knows to keep people out: names, roles, contrast, order."""
    chat.settings(system="Be calm.", tools='[{"name": "weather"}]', temperature="0.5")
    chat.send("think")
    chat.send("say # A\n> quote\n\n`code`\n\n```rust\nfn f() -> u8 { 1 } // x\n```\n\n- [ ] [l](https://a.b)")
    chat.send("refuse")
    chat.send("tools")
    chat.page.locator("#open-settings").click()
    chat.page.locator("#set-seed").fill("x")
    chat.page.wait_for_timeout(300)
    results = Axe().run(chat.page)
    assert results.violations_count == 0, results.generate_report()


@flow(color_scheme="light")
def the_page_is_accessible_in_light(chat):
    accessible(chat)


@flow(color_scheme="dark")
def the_page_is_accessible_in_dark(chat):
    accessible(chat)


@flow(color_scheme="dark", viewport=PHONE, locale="zh-CN")
def the_page_is_accessible_on_a_phone(chat):
    accessible(chat)


@flow(real=True, viewport=WIDE)
def any_model_answers_stops_retries_and_is_remembered(chat):
    chat.settings(max_tokens="24", temperature="0")
    first = chat.ask("静夜思")
    assert first.strip(), "an empty answer"
    statistics = chat.last.locator(".statistics").inner_text()
    assert "prompt " in statistics, statistics
    # The mock's answer may come in one piece, which took no time.
    assert "tokens/s" in statistics or chat.mock, statistics
    chat.action("Retry", chat.last)
    chat.idle()
    assert chat.text == first, "temperature 0 gave two answers"
    chat.action("Edit", chat.questions.first)
    chat.page.locator(".editor textarea").fill("春晓")
    chat.page.locator(".editor textarea").press("Enter")
    chat.idle()
    second = chat.text
    chat.page.reload()
    expect(chat.questions.first.locator(".bubble")).to_have_text("春晓")
    assert chat.text == second
    chat.ask("再来一首")
    assert chat.answers.count() == 2


@flow(real=True)
def any_model_can_be_stopped_and_goes_on(chat):
    chat.settings(max_tokens="4000")
    chat.send("写一首很长的诗", wait=False)
    expect(chat.last.locator(".content")).not_to_be_empty()
    chat.page.keyboard.press("Escape")
    chat.idle()
    chat.settings(max_tokens="8")
    assert chat.ask("短一点").strip()


@flow(real=True)
def any_server_names_the_field_that_is_wrong(chat):
    # More tokens than any server has; the mock refuses by the message's first word.
    chat.settings(max_tokens="999999999999")
    chat.send("refuse")
    field = "temperature" if chat.mock else "max_tokens"
    expect(chat.last.locator(".problem")).to_contain_text(f"field {field}")
    chat.settings(max_tokens="8")
    assert chat.ask("你好").strip()


@flow(real=True, viewport=PHONE, locale="zh-CN")
def any_server_serves_a_phone_in_chinese(chat):
    expect(chat.page.locator("#new")).to_have_text("新对话")
    expect(chat.page.locator("#model option").first).not_to_have_text("没有模型")
    chat.settings(max_tokens="16")
    assert chat.ask("你好").strip()
    assert chat.overflow() == 0
