#!/usr/bin/env python3
"""Draws the lines of `bsd21 profile --format folded` as a flame graph.

    bsd21 profile --format folded -o paths.folded fixtures/bin/paths fixtures/bin/paths
    docs/flame-picture.py paths.folded > docs/pictures/flame.svg

A box is a function on a path of calls, what it called is above it, and its width is the number of instructions.  Boxes
stand in the order of their names, so that the same profile gives the same picture.  flamegraph.pl and
inferno-flamegraph read the same file and draw pictures that can be searched.
"""
import sys
from html import escape

WIDTH, ROW, LEAST = 1200, 17, 0.4


def tree(lines):
    root = {'count': 0, 'inside': {}}
    for line in lines:
        path, count = line.rsplit(' ', 1)
        node = root
        node['count'] += int(count)
        for name in path.split(';'):
            node = node['inside'].setdefault(name, {'count': 0, 'inside': {}})
            node['count'] += int(count)
    return root


def depth(node):
    return 1 + max((depth(inside) for inside in node['inside'].values()), default=0)


def colour(name):
    spread = sum(ord(c) * (i + 7) for i, c in enumerate(name))
    return f'hsl({18 + spread % 38},{62 + spread % 23}%,{60 + spread % 13}%)'


def draw(node, name, x, level, rows, scale, total, out):
    width = node['count'] * scale
    if width < LEAST:
        return
    y = (rows - level - 1) * ROW
    share = f'{node["count"]:,} instructions, {100 * node["count"] / total:.2f} %'
    out.append(f'<g><title>{escape(name)}: {share}</title><rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, LEAST):.1f}" '
               f'height="{ROW - 1}" rx="2" fill="{colour(name)}"/>')
    room = int((width - 6) / 6.6)
    if room >= 2:
        text = name if len(name) <= room else name[:room - 1] + '…'
        out.append(f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(text)}</text>')
    out.append('</g>')
    for inside in sorted(node['inside']):
        draw(node['inside'][inside], inside, x, level + 1, rows, scale, total, out)
        x += node['inside'][inside]['count'] * scale


def main():
    root = tree(line.rstrip('\n') for line in open(sys.argv[1]) if line.strip())
    rows = depth(root)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {rows * ROW}" '
           'font-family="monospace" font-size="11"><rect width="100%" height="100%" fill="#fff8ee"/>']
    draw(root, 'all', 0, 0, rows, WIDTH / max(root['count'], 1), root['count'], out)
    print('\n'.join(out + ['</svg>']))


if __name__ == '__main__':
    main()
