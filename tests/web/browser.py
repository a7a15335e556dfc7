"""Runs flows in headless Chromium: each gets a fresh profile and, where it wants one, a fresh mock."""

import argparse
import contextlib
import shutil
import sys
import time
import traceback

from mock import Mock
from playwright.sync_api import Page, expect, sync_playwright

FLOWS = []
WIDE = {"width": 1280, "height": 860}
PHONE = {"width": 360, "height": 740}


def flow(real=False, **context):
    """A flow of the mock; with `real` also of any server. `context` are the profile's settings."""

    def add(function):
        FLOWS.append((function, real, context))
        return function

    return add


class Chat:
    """The page as a user has it."""

    def __init__(self, page: Page, mock: Mock | None, url: str):
        self.page, self.mock, self.url = page, mock, url
        self.problems = []
        self.prompt = page.locator("#prompt")
        self.answers = page.locator(".message.assistant")
        self.questions = page.locator(".message.user")
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("console", self.note)

    def note(self, message):
        # A refusal is what some flows are about; the browser writes a line for each.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.problems.append(f"console: {message.text}")

    def open(self):
        self.page.goto(self.url)
        return self

    def send(self, text, wait=True):
        self.prompt.fill(text)
        self.prompt.press("Enter")
        if wait:
            self.idle()

    def idle(self):
        expect(self.page.locator("#main.busy")).to_have_count(0, timeout=120_000)

    @property
    def last(self):
        return self.answers.last

    @property
    def text(self):
        """The text of the last answer."""
        return self.last.locator(".content").inner_text()

    def ask(self, text):
        self.send(text)
        return self.text

    @property
    def sent(self):
        """The body of the last request."""
        return self.mock.seen[-1]

    def settings(self, **values):
        self.page.locator("#open-settings").click()
        for name, value in values.items():
            field = self.page.locator(f"#set-{name}")
            if name in ("format", "choice"):
                field.select_option(value)
            else:
                field.fill(value)
        self.page.locator("#close-settings").click()

    def action(self, name, message):
        message.hover()
        message.get_by_role("button", name=name).first.click()

    def overflow(self):
        """How many pixels the page or its messages can be scrolled sideways."""
        return self.page.evaluate(
            """() => Math.max(...[document.scrollingElement, document.getElementById('scroller')]
                .map((node) => node.scrollWidth - node.clientWidth))"""
        )


@contextlib.contextmanager
def chat(browser, url, key, **context):
    """A page in a profile of its own, opened at `url` or at a mock's."""
    mock = None if url else Mock()
    settings = {"viewport": WIDE, "locale": "en-US", "accept_downloads": True, **context}
    profile = browser.new_context(**settings)
    profile.grant_permissions(["clipboard-read", "clipboard-write"])
    if key:
        profile.add_init_script(f"sessionStorage.setItem('baimo.key', {key!r})")
    try:
        opened = Chat(profile.new_page(), mock, url or mock.url)
        yield opened.open()
        assert not opened.problems, opened.problems
    finally:
        profile.close()
        if mock:
            mock.shutdown()
            mock.server_close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", help="a running server; without it the mock")
    parser.add_argument("--only", default="", help="flows whose name contains this")
    parser.add_argument("--shots", help="a folder for pictures")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser")
    parser.add_argument("--key", help="the server's key")
    options = parser.parse_args()
    expect.set_options(timeout=15_000)
    failed = passed = 0
    with sync_playwright() as playwright:
        arguments = {"executable_path": options.chromium, "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**arguments)
        for function, real, context in FLOWS:
            name = function.__name__
            if options.only not in name or (options.url and not real):
                continue
            began = time.monotonic()
            try:
                with chat(browser, options.url, options.key, **context) as opened:
                    function(opened)
                passed += 1
                print(f"ok    {name} ({time.monotonic() - began:.1f} s)", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
        if options.shots:
            import shots

            shots.take(lambda **context: chat(browser, None, None, **context), options.shots)
        browser.close()
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)
