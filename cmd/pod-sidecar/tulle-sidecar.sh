#!/bin/bash
# The sidecar of a pod that starts fast: writes the packet rules as root and becomes Envoy, with the arguments given, as user
# TULLE_PROXY_UID. Without rules no Envoy: the pod doesn't start.
set -eu

# Open since a time before: the network of the pod may be a new one, without rules.
if [ -n "${TULLE_GATE:-}" ]; then rmdir "$TULLE_GATE/open" 2> /dev/null || :; fi

# Envoy is loaded meanwhile. It waits for the end of its configuration before it connects to anybody: what is connected when
# the rules come is cut. Nothing is in this one but that they are there.
rules() {
  trap - CHLD
  if "${BASH_SOURCE[0]%/*}/tulle-rules.sh" >&2; then printf '{}'; else printf '{"packet rules": "could not be written"}'; fi
}
# Envoy does not ask how the processes ended that it is given.
trap '' CHLD
exec 3< <(rules)
# Opened by their names: the access log goes to /dev/stdout, and the pipes are root's.
chmod 0666 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3
# User ids that are not root's have no capability, and by no-new-privs nothing that is run gives one. The groups stay: the
# pod's fsGroup may be what makes the token readable.
exec setpriv --reuid "${TULLE_PROXY_UID:-1500}" --inh-caps=-all --no-new-privs envoy --config-path /dev/fd/3 "$@"
