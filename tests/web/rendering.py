"""What becomes of the text a model writes: Markdown is shown, and nothing in it can do anything."""

import random

from browser import expect, flow

# All elements and attributes that an answer may consist of; anything else is a hole.
CHECK = """
(root) => {
  const tags = new Set(("p br h2 h3 h4 h5 h6 ul ol li input blockquote hr a strong em del code pre " +
    "span div table thead tbody tr th td figure figcaption button svg path").split(" "));
  const names = new Set(("class href target rel start type checked disabled title aria-label " +
    "aria-hidden viewBox d").split(" "));
  const found = [];
  for (const node of root.querySelectorAll("*")) {
    if (!tags.has(node.localName)) found.push(node.localName);
    for (const { name, value } of node.attributes) {
      if (!names.has(name)) found.push(`${node.localName} ${name}`);
      if (name === "href" && !/^(https?:\\/\\/|mailto:)/.test(value)) found.push(value);
      if (name === "title" && value !== "Copy") found.push(value);
    }
  }
  return found;
}
"""

# Shows each text at once and again as it grows by pieces; both must give the same nodes.
SHOW = """
async ({ texts, cuts }) => {
  const { Prose } = await import("/page/markdown.js");
  const check = %s;
  const problems = [];
  for (const [index, text] of texts.entries()) {
    const whole = document.createElement("div");
    new Prose(whole).show(text);
    for (const hole of check(whole)) problems.push(`${hole} in ${JSON.stringify(text)}`);
    const grown = document.createElement("div");
    const prose = new Prose(grown);
    for (const cut of cuts[index]) prose.show(text.slice(0, cut));
    prose.show(text);
    if (grown.innerHTML !== whole.innerHTML) problems.push(`cut: ${JSON.stringify(text)}`);
  }
  return problems;
}
""" % CHECK.strip()

PIECES = (
    "a b 百 模 ， “ ” 1 . - * ** *** _ __ ~~ ` `` ``` ~~~ ~~~~ # ## > | |---| :--: || \\ [ ] ( ) ![ "
    "]( < > <br> <b> & &lt; &amp;lt; $ $$ \\( \\) \\[ \\] ! https://a.b/c_d?e=(f) http:// mailto:a@b "
    "javascript: data:text/html, <script> </script> <img onerror=x> onclick= \" ' 1. 2) + [x] rust "
    "js html diff {} // /* */ -- 0x1f \ud83d\ude00 \u202e \u0000 \u2028"
).split(" ") + [" ", "  ", "    ", "\n", "\n", "\n\n", "\n  ", "\n    ", "\t", "\r\n"]


@flow()
def no_text_makes_anything_but_text_and_grows_into_the_same(chat):
    seed = random.SystemRandom().randrange(2**32)
    print(f"      seed {seed}")
    source = random.Random(seed)
    for _ in range(6):
        texts = ["".join(source.choices(PIECES, k=source.randrange(1, 60))) for _ in range(250)]
        cuts = [sorted(source.randrange(len(t) + 1) for _ in range(4)) for t in texts]
        problems = chat.page.evaluate(SHOW, {"texts": texts, "cuts": cuts})
        assert not problems, f"{len(problems)}: {problems[:3]}"


CODE = (
    "\" ' \"\"\" \'\'\' // /* */ # -- <!-- --> \\ \\n ` ( ) { } < > / * - . ' \\u{1F600} fn if def select end "
    "x y_1 变量 0x1f 1.5e3 12 'a' f( 'static + @ ="
).split(" ") + [" ", "\n", "\n", "    "]
LANGUAGES = "rust js python sh sql json html diff c yaml text".split()


@flow()
def code_that_grows_is_coloured_as_if_it_came_at_once(chat):
    seed = random.SystemRandom().randrange(2**32)
    print(f"      seed {seed}")
    source = random.Random(seed)
    for language in LANGUAGES * 2:
        code = ["".join(source.choices(CODE, k=source.randrange(1, 80))) for _ in range(100)]
        texts = [f"```{language}\n{text}" for text in code]
        cuts = [sorted(source.randrange(len(t) + 1) for _ in range(12)) for t in texts]
        problems = chat.page.evaluate(SHOW, {"texts": texts, "cuts": cuts})
        assert not problems, f"{len(problems)}: {problems[:3]}"


@flow()
def no_text_takes_long(chat):
    size = 60_000
    units = (
        "[ * ** _ ` `` a` ]( [](  ![ $ $a \\( \\[ < & > # - | |-| ~~ ~~~ https:// /* \" ( a_ _a "
        "https://a.b/( [a](b [a](https://b) **a *a `a`` **a** <br"
    ).split(" ") + ["\n", "\n\n", "- ", "> ", "- \n", "  - ", "a|", "a\n|-|\n", " ", "1. a\n  ", "\t-"]
    for unit in units:
        for opening in ("", "```js\n", "a\n"):
            text = opening + unit * (size // max(len(unit), 1))
            spent = chat.page.evaluate(
                """async (text) => {
                  const { Prose } = await import("/page/markdown.js");
                  const began = performance.now();
                  new Prose(document.createElement("div")).show(text);
                  return performance.now() - began;
                }""",
                text,
            )
            # A straight pass takes some tens of milliseconds; one that goes back, minutes.
            assert spent < 4000, f"{unit!r} after {opening!r}: {spent:.0f} ms"


ATTEMPTS = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "<svg onload='window.hit = 1'>",
    "[a](javascript:window.hit=1)",
    "[a](<java\tscript:window.hit=1>)",
    "[a](JaVaScRiPt:window.hit=1)",
    "[a](data:text/html,<script>window.hit=1</script>)",
    "[a](vbscript:x) ![x](javascript:window.hit=1)",
    "[a](https://example.org\"onmouseover=\"window.hit=1)",
    "<https://example.org/\"onclick=window.hit=1>",
    "```html\"onclick=window.hit=1\n<script>window.hit = 1</script>\n```",
    "| <img src=x onerror=window.hit=1> | b |\n|---|---|\n| <script>window.hit=1</script> | c |",
    "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "<a href=javascript:window.hit=1>x</a> &lt;script&gt;window.hit=1&lt;/script&gt;",
    "![alt](https://example.org/pixel.png)",
]


@flow()
def attempts_to_run_a_script_stay_text(chat):
    requests = []
    chat.page.on("request", lambda request: requests.append(request.url))
    for attempt in ATTEMPTS:
        chat.send(f"say {attempt}")
        holes = chat.last.locator(".content").evaluate(CHECK)
        assert not holes, f"{attempt}: {holes}"
    for link in chat.page.locator(".content a").all():
        link.hover()
    chat.page.reload()
    chat.page.wait_for_timeout(300)
    assert chat.page.evaluate("window.hit") is None
    # Nothing is fetched from elsewhere: a picture's host would learn who reads.
    assert all(url.startswith(chat.url) for url in requests), requests
    title = chat.page.locator("#conversations a").first
    expect(title).to_have_text("say <script>window.hit = 1</script>")


SAMPLE = """say # Title
Some **bold**, *em*, ***both***, ~~gone~~, `a <b> *c*` and [a link](https://example.org/a_(b)).
A second line, 中文**“强调”**也可以，见https://example.org/路。snake_case_name stays, 2 * 3 * 4 too.
Price $5 and $6, formula $a_1 * b_2 * c$ and \\(x_i * y_i\\); \\*no emphasis\\*.

3. Third
   - nested
   - [x] done
4. Fourth
   goes on

> A quote
> - with a list

| a | b |
|:-:|--:|
| 1 | `x|y` |

---
````markdown
```rust
fn main() {}
```
````
$$
E = m c^2
$$
"""


@flow()
def markdown_is_shown_as_meant(chat):
    chat.send(SAMPLE)
    content = chat.last.locator(".content")
    count = lambda selector: content.locator(selector).count()  # noqa: E731
    expect(content.locator("h2")).to_have_text("Title")
    assert content.locator("strong").all_inner_texts() == ["bold", "both", "“强调”"]
    assert content.locator("em").all_inner_texts() == ["em", "both"]
    expect(content.locator("p code").first).to_have_text("a <b> *c*")
    links = [link.get_attribute("href") for link in content.locator("a").all()]
    assert links == ["https://example.org/a_(b)", "https://example.org/"], links
    assert content.locator("a").first.get_attribute("rel") == "noopener noreferrer nofollow"
    paragraph = content.locator("p").first.inner_text()
    assert "snake_case_name stays, 2 * 3 * 4 too." in paragraph, paragraph
    assert "\nA second line" in paragraph and "Price $5 and $6" in paragraph, paragraph
    assert "*no emphasis*" in paragraph, paragraph
    formulas = content.locator("span.formula").all_inner_texts()
    assert formulas == ["$a_1 * b_2 * c$", "\\(x_i * y_i\\)"], formulas
    assert content.locator("ol").get_attribute("start") == "3" and count("ol > li") == 2
    assert count("ol ul > li") == 2 and count("input:checked:disabled") == 1
    assert count("blockquote li") == 1 and count("hr") == 1
    assert content.locator("td").all_inner_texts() == ["1", "x|y"]
    assert content.locator("td").last.get_attribute("class") == "right"
    expect(content.locator("pre")).to_have_text("```rust\nfn main() {}\n```")
    expect(content.locator("p.formula")).to_have_text("$$\nE = m c^2\n$$")


@flow()
def code_is_coloured_and_copied_as_it_is(chat):
    code = 'fn f<\'a>(x: &\'a str) -> u8 { // says "no"\n\tif x == "百//模" { 0x1f } else { g(2) }\n}'
    chat.send(f"say ```rust\n{code}\n```")
    block = chat.last.locator("figure.code")
    expect(block.locator("pre")).to_have_text(code, use_inner_text=False)
    texts = lambda kind: block.locator(f".{kind}").all_inner_texts()  # noqa: E731
    assert texts("keyword") == ["fn", "str", "u8", "if", "else"], texts("keyword")
    assert texts("comment") == ['// says "no"'] and texts("string") == ['"百//模"']
    assert texts("number") == ["0x1f", "2"] and texts("called") == ["g"], texts("called")
    block.get_by_role("button", name="Copy").click()
    assert chat.page.evaluate("navigator.clipboard.readText()") == code


@flow()
def code_can_be_copied_where_the_page_is_not_secure(chat):
    chat.send("say `x`\n```\ncopied\n```")
    chat.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    chat.last.locator("figure.code").get_by_role("button", name="Copy").click()
    chat.page.keyboard.press("Tab")
    chat.prompt.focus()
    chat.page.keyboard.press("Control+V")
    expect(chat.prompt).to_have_value("copied")


# The same events, whatever the pieces the network makes of the bytes.
EVENTS = """
async ({ bytes, cuts }) => {
  const { events } = await import("/page/stream.js");
  const found = [];
  let start = 0;
  const body = new ReadableStream({
    pull(stream) {
      if (start >= bytes.length) return stream.close();
      const end = cuts.find((cut) => cut > start) ?? bytes.length;
      stream.enqueue(new Uint8Array(bytes.slice(start, end)));
      start = end;
    },
  });
  for await (const data of events(body)) found.push(data);
  return found;
}
"""


@flow()
def events_are_the_same_wherever_the_stream_is_cut(chat):
    source = random.Random(7)
    for end in ("\n", "\r\n", "\r"):
        lines = [": hello", "data: {\"百\": \"模😀\"}", "", "data:a", "data: b", "", "event: x", "data:  c", "", ""]
        data = list(end.join(lines).encode())
        for _ in range(60):
            cuts = sorted(source.sample(range(1, len(data)), source.randrange(0, 12)))
            found = chat.page.evaluate(EVENTS, {"bytes": data, "cuts": cuts})
            assert found == ['{"百": "模😀"}', "a\nb", " c"], (end, cuts, found)
