#!/bin/bash
# The postStart hook of the sidecar: ends when it is ready, for only then the kubelet starts the next container.
# Nobody sees what a hook prints: the reason of a failure becomes the container's termination message, and part of the pod's status.
#
#   TULLE_READY_TIMEOUT  seconds to wait; default 60
#   TULLE_GATE           folder to make `open` in once it is ready; without it the app's containers can't be started
#   TULLE_CONTROLLER     address of the control plane, for the message
#   TULLE_READY_PORT, TULLE_TERMINATION_LOG
port=${TULLE_READY_PORT:-15021}
timeout=${TULLE_READY_TIMEOUT:-60}

is_ready() {
  { exec 3<> "/dev/tcp/127.0.0.1/$port"; } 2> /dev/null || return 1
  local line=
  printf 'GET /ready HTTP/1.1\r\nhost: tulle\r\nconnection: close\r\n\r\n' >&3 && IFS= read -r -t 2 line <&3
  exec 3>&-
  [[ $line == *' 200 '* ]]
}

# A pipe that nothing comes from: to wait for it costs no process.
exec 4<> <(:)
end=$((SECONDS + timeout))
until is_ready; do
  if [ "$SECONDS" -ge "$end" ]; then
    message="tulle: the sidecar was not ready within $timeout s. Most likely it doesn't reach ${TULLE_CONTROLLER:-the control plane}, or isn't let in: see the log of this container (kubectl logs -c envoy --previous), and the control plane's for the name of this pod"
    printf '%s\n' "$message" | tee -a "${TULLE_TERMINATION_LOG:-/dev/termination-log}" >&2
    exit 1
  fi
  read -r -t 0.01 -u 4 _
done
if [ -n "${TULLE_GATE:-}" ]; then mkdir -p "$TULLE_GATE/open"; fi
