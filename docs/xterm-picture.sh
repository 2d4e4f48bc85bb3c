#!/bin/sh
# Takes docs/pictures/xterm.png: the xterm of an old tree on an X server without a screen.
# Needs BSD21_ROOT (a tree with usr/X386/bin/xterm), Xvfb, and import of ImageMagick.
#     docs/xterm-picture.sh [BSD21 [PICTURE [COMMAND]]]
set -eu
bsd21=${1:-target/release/bsd21}
picture=${2:-docs/pictures/xterm.png}
command=${3:-tty; ls /usr/bin | more}
display=:${DISPLAY_NUMBER:-57}
Xvfb "$display" -screen 0 520x350x8 -listen tcp -ac >/dev/null 2>&1 &
server=$!
xterm=
trap 'kill $xterm $server 2>/dev/null || :' EXIT
sleep 2
"$bsd21" run -q --root "$BSD21_ROOT" --overlay --net host --env "DISPLAY=127.0.0.1$display" --env TERM=xterm \
    /usr/X386/bin/xterm -geometry 80x24+10+10 -fn fixed -e /bin/sh -c "$command" &
xterm=$!
sleep "${SECONDS_TO_WAIT:-10}"
import -display "$display" -window root "$picture"
