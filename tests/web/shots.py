"""Pictures of the page for people to look at: light and dark, wide and as on a phone."""

from pathlib import Path

from browser import PHONE, WIDE
from rendering import SAMPLE

TOOLS = '[{"name": "weather", "description": "The weather", "parameters": {"type": "object"}}]'
LOOKS = {
    "wide-light": {"viewport": WIDE, "color_scheme": "light"},
    "wide-dark": {"viewport": WIDE, "color_scheme": "dark", "locale": "zh-CN"},
    "phone-light": {"viewport": PHONE, "device_scale_factor": 2, "locale": "zh-CN"},
    "phone-dark": {"viewport": PHONE, "device_scale_factor": 2, "color_scheme": "dark"},
}


def take(new_chat, folder):
    """Writes the pictures to `folder`, which is made."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for look, context in LOOKS.items():
        with new_chat(**context) as chat:
            walk(chat, lambda name, wait=250: shoot(chat, folder / f"{look}-{name}.png", wait))


def shoot(chat, file, wait):
    chat.page.wait_for_timeout(wait)
    chat.page.screenshot(path=file)


def walk(chat, picture):
    picture("1-empty")
    chat.send("think", wait=False)
    chat.last.locator("details[open] em").wait_for()
    picture("2-thinking", 0)
    chat.idle()
    chat.send(SAMPLE)
    chat.page.locator(".message.assistant").last.evaluate("(node) => node.scrollIntoView()")
    picture("3-markdown")
    chat.settings(tools=TOOLS, temperature="0.6", system="Be brief.")
    chat.send("tools")
    picture("4-tools")
    for area in chat.page.locator(".call textarea").all():
        area.fill('{"sky": "clear", "degrees": 21}')
    chat.page.locator(".calls .primary").click()
    chat.idle()
    chat.send("refuse")
    picture("5-results-and-refusal")
    chat.page.locator("#open-settings").click()
    chat.page.locator("#set-seed").fill("x")
    picture("6-settings")
    chat.page.locator("#close-settings").click()
    if chat.page.locator("#open-list").is_visible():
        chat.page.locator("#open-list").click()
        picture("7-list")
        chat.page.locator("#close-list").click()
    chat.page.locator("#menu-button").click()
    picture("8-menu")
    chat.page.locator("#menu #remove").click()
    picture("9-dialog")
