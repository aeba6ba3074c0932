#!/bin/bash
# The preStop hook of the sidecar: from now on every answer asks its client to close the connection, and nothing is refused.
# Given a number, it lets so many seconds pass: an ordinary container is told to end with the app, and must outlive it.
port=${TULLE_ADMIN_PORT:-15000}

# Whatever is started in this pod after now has to wait for the sidecar again: its network may be a new one, without rules.
# A gate that was never open has let nothing in that would have to come to its end.
if [ -n "${TULLE_GATE:-}" ]; then rmdir "$TULLE_GATE/open" 2> /dev/null || exit 0; fi

exec 3<> "/dev/tcp/127.0.0.1/$port" || exit 1
printf 'POST /drain_listeners?graceful&inboundonly&skip_exit HTTP/1.1\r\nhost: tulle\r\nconnection: close\r\ncontent-length: 0\r\n\r\n' >&3
IFS= read -r -t 5 line <&3
if [ "${1:-0}" != 0 ]; then sleep "$1"; fi
[[ $line == *' 200 '* ]]
