#!/usr/bin/env python3
"""Draws a trace in chrome format as an SVG picture: a row a process, a slice a call, grey where it sleeps, pale
where it lives and makes no call."""

import html
import json
import sys

WIDTH, ROW, LEFT, TOP = 1000, 34, 150, 30
COLOURS = {"socket": "#4878cf", "file": "#6acc65", "vfs": "#d65f5f", "proc": "#b47cc7", "vm": "#c4ad66",
           "signal": "#77bedb", "sleep": "#cfcfcf", "in user mode or ready": "#fdf0d5"}


def main(source, target):
    with open(source, encoding="utf-8") as f:
        events = json.load(f)["traceEvents"]
    names, rows = {}, []
    for e in events:
        if e["ph"] == "M":
            names[e["pid"]] = e["args"]["name"]
        if e["pid"] not in rows:
            rows.append(e["pid"])
    slices = [e for e in events if e["ph"] == "X"]
    start = min(e["ts"] for e in slices)
    end = max(e["ts"] + e["dur"] for e in slices)
    scale = (WIDTH - LEFT - 10) / max(end - start, 1e-9)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{TOP + ROW * len(rows) + 40}"'
           ' font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>']
    for i, pid in enumerate(rows):
        y = TOP + i * ROW
        label = html.escape(f"{pid} {names.get(pid, '').split('/')[-1]}")
        out.append(f'<text x="8" y="{y + 17}">{label}</text>')
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y + 26}" y2="{y + 26}" stroke="#eeeeee"/>')
        own = [(e["ts"], e["ts"] + e.get("dur", 0)) for e in events if e["pid"] == pid and "ts" in e]
        born, died = min(t for t, _ in own), max(t for _, t in own)
        out.append(f'<rect x="{LEFT + (born - start) * scale:.2f}" y="{y + 5}" width="{(died - born) * scale:.2f}"'
                   f' height="16" fill="{COLOURS["in user mode or ready"]}"/>')
    for e in sorted(slices, key=lambda e: -e["dur"]):
        sleep = e["cat"] == "sleep"
        x = LEFT + (e["ts"] - start) * scale
        y = TOP + rows.index(e["pid"]) * ROW + (6 if sleep else 2)
        tip = html.escape(e["name"] if sleep else f'{e["name"]} = {e["args"]["result"]}')
        out.append(f'<rect x="{x:.2f}" y="{y}" width="{max(e["dur"] * scale, 0.7):.2f}" height="{14 if sleep else 22}"'
                   f' fill="{COLOURS.get(e["cat"], "#999999")}"><title>{tip}</title></rect>')
    for e in events:
        if e["ph"] == "i":
            x = LEFT + (e["ts"] - start) * scale
            y = TOP + rows.index(e["pid"]) * ROW
            out.append(f'<path d="M{x:.2f} {y} l3 -6 l-6 0 z" fill="black"><title>{html.escape(e["name"])}</title></path>')
    legend = TOP + ROW * len(rows) + 16
    x = LEFT
    for name, colour in COLOURS.items():
        out.append(f'<rect x="{x}" y="{legend}" width="12" height="12" fill="{colour}"/>'
                   f'<text x="{x + 16}" y="{legend + 11}">{name}</text>')
        x += 75
    out.append(f'<text x="{WIDTH - 12}" y="18" text-anchor="end">{(end - start) / 1000:.2f} ms</text></svg>')
    with open(target, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: trace-picture.py TRACE.json PICTURE.svg")
    main(*sys.argv[1:])
