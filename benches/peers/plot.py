"""The plot of README: speeds as multiples of llama.cpp's, as SVG for light and dark pages."""

import statistics

from cells import DEEP, GENERATE, PROMPT, SEQUENCES

PP, TG = f"pp{PROMPT}", f"tg{GENERATE}"
BATCH = f"{SEQUENCES}xtg{GENERATE}"
DENSE = (("q8_0", "Q8_0"), ("q4_0", "Q4_0"), ("q4_k_m", "Q4_K_M"), ("bf16", "BF16"))
MODELS = (("moe-q8_0", "MoE Q8_0"), ("moe-q4_0", "MoE Q4_0"), ("mla-q8_0", "MLA Q8_0"),
          ("hybrid-q8_0", "hybrid Q8_0"))
GROUPS = (
    ("prompt of 512", [(f"speed/dense-{kind}", PP, shown) for kind, shown in DENSE]
     + [(f"speed/{file}", PP, shown) for file, shown in MODELS]),
    ("answer of 64", [(f"speed/dense-{kind}", TG, shown) for kind, shown in DENSE]
     + [(f"speed/{file}", TG, shown) for file, shown in MODELS]),
    ("answer, other", [
        ("depth/dense-q8_0", f"tg32@{DEEP}", f"Q8_0 at depth {DEEP}"),
        ("batch/dense-q8_0", BATCH, f"Q8_0, {SEQUENCES} at once"),
        ("batch/dense-q4_k_m", BATCH, f"Q4_K_M, {SEQUENCES} at once"),
    ]),
)
LEFT, ROW, WIDTH = 170, 26, 680
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 }
.head { font-weight: 600 } .value { font-size: 11px }
.ours { fill: #c8382e } .ik { fill: #9aa3ad } .one { stroke: #777; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .ours { fill: #f0695e } .ik { fill: #6b7580 } .one { stroke: #aaa }
}
"""


def against(rounds, engine, metric):
    """The median multiple of llama.cpp's rate, where both were measured."""
    found = []
    quick = [turn for turn in rounds.values() if all(record["quick"] for record in turn.values())]
    for turn in quick or rounds.values():
        if engine not in turn or "llama.cpp" not in turn:
            continue
        ours, theirs = (turn[name]["rates"].get(metric) for name in (engine, "llama.cpp"))
        if ours and theirs:
            found.append(ours / theirs)
    return statistics.median(found) if found else None


def bars(found):
    """(group, label, baimo's multiple, ik_llama.cpp's) of what was measured."""
    for group, entries in GROUPS:
        for cell, metric, label in entries:
            rounds = found.get(cell, {})
            ours = against(rounds, "baimo", metric)
            if ours:
                yield group, label, ours, against(rounds, "ik_llama.cpp", metric)


def draw(found):
    entries = list(bars(found))
    most = max([2, *(multiple for entry in entries for multiple in entry[2:] if multiple)])
    scale = (WIDTH - LEFT - 60) / most
    out, y, last = [], 44, None
    legend = LEFT
    for kind, words in (("ours", "baimo"), ("ik", "ik_llama.cpp")):
        out.append(f'<rect class="{kind}" x="{legend}" y="8" width="12" height="12"/>')
        out.append(f'<text x="{legend + 18}" y="18">{words}</text>')
        legend += 110
    out.append(f'<text x="{legend}" y="18">dashed: llama.cpp = 1</text>')
    top = y - 8
    for group, label, ours, ik in entries:
        if group != last:
            out.append(f'<text class="head" x="8" y="{y + 8}">{group}</text>')
            y, last = y + 18, group
        out.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{label}</text>')
        bar = f'<rect class="ours" x="{LEFT}" y="{y}" width="{ours * scale:.1f}" height="12"/>'
        end = LEFT + ours * scale + 5
        out += [bar, f'<text class="value" x="{end:.1f}" y="{y + 10}">{ours:.2f}</text>']
        if ik:
            width = ik * scale
            out.append(f'<rect class="ik" x="{LEFT}" y="{y + 13}" width="{width:.1f}" height="6"/>')
        y += ROW
    one = LEFT + scale
    out.append(f'<line class="one" x1="{one:.1f}" x2="{one:.1f}" y1="{top}" y2="{y}"/>')
    box = f'width="{WIDTH}" height="{y + 8}" viewBox="0 0 {WIDTH} {y + 8}"'
    title = "<title>Speed as a multiple of llama.cpp's</title>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">'
    return "\n".join([head, title, f"<style>{STYLE}</style>", *out, "</svg>", ""])
