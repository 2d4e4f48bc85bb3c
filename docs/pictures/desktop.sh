#!/bin/sh
# Makes desktop.png: X programs of 1994 on the X server without a screen, by way of bsd21 run --x11.
#   BSD21_ROOT=/mnt/386bsd sh docs/pictures/desktop.sh [FILE]
# Needs Xvfb with the usual bitmap fonts, xwd, xwdtopnm and pnmtopng, and a tree with /usr/X386/bin.
set -e
root=${BSD21_ROOT:?names a tree with usr/X386/bin}
picture=${1:-$(dirname "$0")/desktop.png}
bsd21=${BSD21:-target/debug/bsd21}
display=${DESKTOP_DISPLAY:-:94}
work=$(mktemp -d)
Xvfb "$display" -screen 0 900x600x24 -ac >"$work/xvfb" 2>&1 &
server=$!
trap 'kill $guest $server 2>/dev/null; rm -rf "$work"' EXIT
until [ -S "/tmp/.X11-unix/X${display#:}" ]; do sleep 0.1; done
cat >"$work/session" <<'SESSION'
PATH=/usr/X386/bin:$PATH; export PATH
xsetroot -solid steelblue
twm &
xclock -geometry 150x150+20+20 &
oclock -geometry 120x120+200+20 &
xcalc -geometry +20+220 &
xeyes -geometry 200x120+650+20 &
xlogo -geometry 120x120+750+420 &
xterm -fn fixed -geometry 60x16+330+200 -e /bin/sh -c 'date; echo; ls /; exec sleep 1000' &
wait
SESSION
mkdir "$work/session.d" && mv "$work/session" "$work/session.d/session"
DISPLAY=$display "$bsd21" run -q --x11 --root "$root" --overlay --mount "$work/session.d:/session:ro" \
    /bin/sh /session/session >"$work/guest" 2>&1 &
guest=$!
sleep "${DESKTOP_WAIT:-20}"
DISPLAY=$display xwd -root -silent | xwdtopnm 2>/dev/null | pnmtopng -compression 9 >"$picture" 2>/dev/null
cat "$work/guest" >&2
