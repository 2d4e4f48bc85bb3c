#!/bin/sh
# Takes docs/pictures/xterm.png: two xterms of an old tree in one machine, on an X server without a screen; in one a
# shell runs `ls | more`, in the other vi shows a file.
# Needs BSD21_ROOT (a tree with usr/X386/bin/xterm), Xvfb, and import of ImageMagick.
#     docs/pictures/xterm.sh [BSD21 [PICTURE]]
set -eu
bsd21=${1:-target/release/bsd21}
picture=${2:-docs/pictures/xterm.png}
display=:${DISPLAY_NUMBER:-57}
Xvfb "$display" -screen 0 1004x350x8 -listen tcp -ac >/dev/null 2>&1 &
server=$!
machine=
trap 'kill $machine $server 2>/dev/null || :' EXIT
sleep 2
"$bsd21" run -q --root "$BSD21_ROOT" --overlay --net host --env "DISPLAY=127.0.0.1$display" --env TERM=xterm \
    /bin/sh -c '
        [ -d /var/tmp ] || mkdir /var/tmp
        xterm=/usr/X386/bin/xterm
        $xterm -fn fixed -geometry 80x24+10+10 -e /bin/sh -c "tty; ls /usr/bin | more" &
        $xterm -fn fixed -geometry 80x24+508+10 -e /bin/sh -c "vi /etc/services"
    ' &
machine=$!
sleep "${SECONDS_TO_WAIT:-10}"
import -display "$display" -window root "$picture"
