#!/bin/bash
# The preStop hook of the sidecar: from now on every answer asks its client to close the connection, and nothing is refused.
# An ordinary container is told to end with the app, and must outlive it: given numbers, it lets so many seconds pass at
# least, and at most as many as the second one while anybody but the sidecar listens or is connected in this pod.
port=${TULLE_ADMIN_PORT:-15000}

# Whatever is started in this pod after now has to wait for the sidecar again: its network may be a new one, without rules.
# A gate that was never open has let nothing in that would have to come to its end.
if [ -n "${TULLE_GATE:-}" ]; then rmdir "$TULLE_GATE/open" 2> /dev/null || exit 0; fi

app_is_there() {
  local state uid
  # Columns of /proc/net/tcp; 01 is established, 0A listening.
  while read -r _ _ _ state _ _ _ uid _; do
    if [[ ($state == 01 || $state == 0A) && $uid != "${TULLE_PROXY_UID:-1500}" ]]; then return 0; fi
  done < <(cat /proc/net/tcp /proc/net/tcp6 2> /dev/null)
  return 1
}

exec 3<> "/dev/tcp/127.0.0.1/$port" || exit 1
printf 'POST /drain_listeners?graceful&inboundonly&skip_exit HTTP/1.1\r\nhost: tulle\r\nconnection: close\r\ncontent-length: 0\r\n\r\n' >&3
IFS= read -r -t 5 line <&3
exec 3>&-
if [ "${1:-0}" != 0 ]; then sleep "$1"; fi
while [ "$SECONDS" -lt "${2:-0}" ] && app_is_there; do sleep 0.5; done
[[ $line == *' 200 '* ]]
