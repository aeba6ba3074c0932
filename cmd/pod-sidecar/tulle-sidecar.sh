#!/bin/sh
# The sidecar of a pod that starts fast: as root it shuts the gate, then it becomes Envoy, with the arguments given, as user
# TULLE_PROXY_UID. Meanwhile its hook, tulle-wait.sh, writes the packet rules, and opens the gate when both are there.
set -eu

# Open since a time before: the network of the pod may be a new one, without rules.
if [ -n "${TULLE_GATE:-}" ]; then rmdir "$TULLE_GATE/open" 2> /dev/null || :; fi
# The access log goes to /dev/stdout, which Envoy opens by that name: the pipe is root's.
chmod 0666 /proc/self/fd/1 /proc/self/fd/2
# User ids that are not root's have no capability, and by no-new-privs nothing that is run gives one. The groups stay: the
# pod's fsGroup may be what makes the token readable.
exec setpriv --reuid "${TULLE_PROXY_UID:-1500}" --inh-caps=-all --no-new-privs envoy "$@"
