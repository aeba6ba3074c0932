#!/bin/sh
# Leads the TCP connections of a pod through its sidecar.
# Runs as root with NET_ADMIN and NET_RAW in the network namespace of the pod, before Envoy connects to anybody and before
# the app. Run again, as by a sidecar that restarts, it puts the same rules in the place of the old ones, in one step.
#
# Lists are separated by commas; pkg/injector/packet-rules.ts writes them.
#   TULLE_OPEN_PORTS                ports of the sidecar that are reached as they are: readiness, metrics, probes
#   TULLE_INBOUND_PORT_EXCLUSIONS   ports of the app that are reached as they are
#   TULLE_OUTBOUND_PORT_EXCLUSIONS  ports that the app reaches by itself
#   TULLE_OUTBOUND_CIDR_EXCLUSIONS  addresses that the app reaches by itself
#   TULLE_OUTBOUND_CIDR_INCLUSIONS  not empty: the only addresses that are reached through the sidecar
#   TULLE_INTERFACE_EXCLUSIONS      interfaces that are left alone
#   TULLE_IPV6                      refuse (default): TCP over IPv6 into the pod is refused | redirect: as IPv4
#   TULLE_POD_IP                    set: the app listens on this address alone, and not on loopback
#   TULLE_INBOUND_PORT, TULLE_OUTBOUND_PORT, TULLE_ADMIN_PORT, TULLE_READY_PORT, TULLE_PROXY_UID
#   TULLE_RESOLV_CONF               where the name servers are read from
set -eu

inbound_port=${TULLE_INBOUND_PORT:-15003}
outbound_port=${TULLE_OUTBOUND_PORT:-15001}
admin_port=${TULLE_ADMIN_PORT:-15000}
ready_port=${TULLE_READY_PORT:-15021}
proxy_uid=${TULLE_PROXY_UID:-1500}
open_ports=${TULLE_OPEN_PORTS:-}
inbound_exclusions=${TULLE_INBOUND_PORT_EXCLUSIONS:-}
outbound_exclusions=${TULLE_OUTBOUND_PORT_EXCLUSIONS:-}
cidr_exclusions=${TULLE_OUTBOUND_CIDR_EXCLUSIONS:-}
cidr_inclusions=${TULLE_OUTBOUND_CIDR_INCLUSIONS:-}
interfaces=${TULLE_INTERFACE_EXCLUSIONS:-}
ipv6=${TULLE_IPV6:-refuse}
pod_ip=${TULLE_POD_IP:-}
resolv_conf=${TULLE_RESOLV_CONF:-/etc/resolv.conf}

fail() {
  printf 'tulle: %s\n' "$*" >&2
  exit 1
}

# --- what was given, before anything is touched; it ends up in rules, so nothing odd may be in it

words() { # words LIST: one a line
  [ -n "$1" ] || return 0
  printf '%s\n' "$1" | tr ',' '\n' | sed 's/^ *//; s/ *$//; /^$/d'
}

check_number() { # check_number NAME VALUE MIN MAX
  case $2 in
    '' | *[!0-9]* | ???????*) fail "$1 is \"$2\": a number from $3 to $4 is needed" ;;
  esac
  if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then fail "$1 is \"$2\": a number from $3 to $4 is needed"; fi
}

check_list() { # check_list NAME LIST FUNCTION
  [ -n "$2" ] || return 0
  words "$2" | while IFS= read -r word; do "$3" "$1" "$word"; done
}

check_port() { check_number "$1" "$2" 1 65535; }

check_cidr() {
  case $2 in
    *[!0-9a-fA-F.:/]* | */*/* | /* | */) fail "$1 has \"$2\": a range such as 10.0.0.0/8 is needed" ;;
    */*) ;;
    *) fail "$1 has \"$2\": a range such as 10.0.0.0/8 is needed" ;;
  esac
  case $2 in
    *:*.*) fail "$1 has \"$2\": write IPv6 addresses in hexadecimal" ;;
    *:*) check_number "the length in $1, $2," "${2#*/}" 0 128 ;;
    *.*.*.*) check_number "the length in $1, $2," "${2#*/}" 0 32 ;;
    *) fail "$1 has \"$2\": a range such as 10.0.0.0/8 is needed" ;;
  esac
}

check_interface() {
  case $2 in
    -* | *[!A-Za-z0-9_.@:+-]* | ????????????????*) fail "$1 has \"$2\", which is not the name of an interface" ;;
  esac
}

check_port TULLE_INBOUND_PORT "$inbound_port"
check_port TULLE_OUTBOUND_PORT "$outbound_port"
check_port TULLE_ADMIN_PORT "$admin_port"
check_port TULLE_READY_PORT "$ready_port"
check_number TULLE_PROXY_UID "$proxy_uid" 1 999999
check_list TULLE_OPEN_PORTS "$open_ports" check_port
check_list TULLE_INBOUND_PORT_EXCLUSIONS "$inbound_exclusions" check_port
check_list TULLE_OUTBOUND_PORT_EXCLUSIONS "$outbound_exclusions" check_port
check_list TULLE_OUTBOUND_CIDR_EXCLUSIONS "$cidr_exclusions" check_cidr
check_list TULLE_OUTBOUND_CIDR_INCLUSIONS "$cidr_inclusions" check_cidr
check_list TULLE_INTERFACE_EXCLUSIONS "$interfaces" check_interface
case $ipv6 in refuse | redirect) ;; *) fail "TULLE_IPV6 is \"$ipv6\": refuse or redirect is needed" ;; esac
case $pod_ip in *[!0-9a-fA-F.:]*) fail "TULLE_POD_IP is \"$pod_ip\", which is not an address" ;; esac

# --- the rules

of_family() { # of_family 4|6: those of the lines read that are addresses of it
  if [ "$1" = 6 ]; then grep ':' || true; else grep -v ':' || true; fi
}

name_servers() {
  if [ -r "$resolv_conf" ]; then
    sed -n 's/^[[:space:]]*nameserver[[:space:]]\{1,\}\([0-9a-fA-F.:]\{1,\}\).*/\1/p' "$resolv_conf"
  fi
}

return_ports() { # return_ports CHAIN LIST: a rule takes 15 ports at most
  [ -n "$2" ] || return 0
  words "$2" | sort -un | while IFS= read -r chunk; do
    n=1
    while [ "$n" -lt 15 ] && IFS= read -r next; do
      chunk=$chunk,$next
      n=$((n + 1))
    done
    echo "-A $1 -p tcp -m multiport --dports $chunk -j RETURN"
  done
}

nat_rules() { # nat_rules 4|6, for iptables-restore: all of it or nothing is in force
  family=$1
  loopback=127.0.0.0/8
  if [ "$family" = 6 ]; then loopback=::1/128; fi
  echo '*nat'
  # A chain that is named here is emptied first.
  for chain in TULLE_INBOUND TULLE_OUTBOUND TULLE_IN_REDIRECT TULLE_OUT_REDIRECT; do echo ":$chain - [0:0]"; done
  echo "-A TULLE_IN_REDIRECT -p tcp -j REDIRECT --to-ports $inbound_port"
  echo "-A TULLE_OUT_REDIRECT -p tcp -j REDIRECT --to-ports $outbound_port"

  words "$interfaces" | while IFS= read -r name; do echo "-A TULLE_INBOUND -i $name -j RETURN"; done
  return_ports TULLE_INBOUND "$inbound_exclusions"
  return_ports TULLE_INBOUND "$open_ports"
  echo '-A TULLE_INBOUND -p tcp -j TULLE_IN_REDIRECT'

  case $pod_ip in
    '') ;;
    *:*) if [ "$family" = 6 ]; then to_pod_ip; fi ;;
    *) if [ "$family" = 4 ]; then to_pod_ip; fi ;;
  esac
  # What came in for a port without Service, on its way to the app.
  if [ "$family" = 4 ]; then echo '-A TULLE_OUTBOUND -o lo -s 127.0.0.6/32 -j RETURN'; fi
  # The sidecar calls its own pod where the app calls a Service that has this pod behind it: in by the front door.
  echo "-A TULLE_OUTBOUND -o lo ! -d $loopback -m owner --uid-owner $proxy_uid -j TULLE_IN_REDIRECT"
  echo "-A TULLE_OUTBOUND -o lo -j RETURN"
  echo "-A TULLE_OUTBOUND -m owner --uid-owner $proxy_uid -j RETURN"
  echo "-A TULLE_OUTBOUND -d $loopback -j RETURN"
  words "$interfaces" | while IFS= read -r name; do echo "-A TULLE_OUTBOUND -o $name -j RETURN"; done
  words "$cidr_exclusions" | of_family "$family" | while IFS= read -r cidr; do echo "-A TULLE_OUTBOUND -d $cidr -j RETURN"; done
  return_ports TULLE_OUTBOUND "$outbound_exclusions"
  # Names are looked up past the sidecar over TCP as they are over UDP.
  name_servers | of_family "$family" | while IFS= read -r ip; do
    echo "-A TULLE_OUTBOUND -d $ip -p tcp --dport 53 -j RETURN"
  done
  if [ -n "$(words "$cidr_inclusions")" ]; then
    words "$cidr_inclusions" | of_family "$family" | while IFS= read -r cidr; do
      echo "-A TULLE_OUTBOUND -d $cidr -j TULLE_OUT_REDIRECT"
    done
  else
    echo '-A TULLE_OUTBOUND -p tcp -j TULLE_OUT_REDIRECT'
  fi
  jump nat PREROUTING TULLE_INBOUND
  jump nat OUTPUT TULLE_OUTBOUND
  echo 'COMMIT'
}

to_pod_ip() {
  echo "-A TULLE_OUTBOUND -o lo -d $loopback -p tcp -m multiport ! --dports $admin_port,$ready_port -m owner --uid-owner $proxy_uid -j DNAT --to-destination $pod_ip"
}

# What is not led through the sidecar must not come in beside it.
refuse_rules() {
  echo '*filter'
  echo ':TULLE_REFUSE - [0:0]'
  echo '-A TULLE_REFUSE -i lo -j RETURN'
  words "$interfaces" | while IFS= read -r name; do echo "-A TULLE_REFUSE -i $name -j RETURN"; done
  return_ports TULLE_REFUSE "$inbound_exclusions"
  return_ports TULLE_REFUSE "$open_ports"
  echo '-A TULLE_REFUSE -p tcp --syn -j REJECT --reject-with tcp-reset'
  jump filter INPUT TULLE_REFUSE
  echo 'COMMIT'
}

jump() { # jump TABLE CHAIN TARGET: once, however often this runs
  "$iptables" -w -t "$1" -C "$2" -p tcp -j "$3" 2> /dev/null || echo "-A $2 -p tcp -j $3"
}

apply() { # apply 4|6 MUST FUNCTION ARGS...: by the kernel's newer packet filter where it can, else by the older one
  prefix=iptables
  if [ "$1" = 6 ]; then prefix=ip6tables; fi
  must=$2
  shift 2
  complaints=
  for variant in "$prefix-nft" "$prefix-legacy" "$prefix"; do
    command -v "$variant" > /dev/null && command -v "$variant-restore" > /dev/null || continue
    iptables=$variant
    rules=$("$@")
    if complaint=$(printf '%s\n' "$rules" | "$variant-restore" -w --noflush 2>&1); then
      echo "tulle: $(printf '%s\n' "$rules" | grep -c '^-A') rules by $variant"
      return 0
    fi
    complaints="$complaints $variant: $complaint;"
  done
  if [ "$must" = 0 ]; then
    echo "tulle: no rules for IPv6:${complaints:- there is no $prefix here;} this pod has no IPv6 address but for its own link"
    return 0
  fi
  fail "the packet rules could not be written:${complaints:- there is no $prefix here;} the container needs the capabilities NET_ADMIN and NET_RAW, and the node a kernel with nat, REDIRECT, multiport and owner"
}

# The fourth word of a line is the scope, 00 for addresses that count everywhere.
ipv6_scopes() {
  if [ -r /proc/net/if_inet6 ]; then awk '$6 != "lo" { print $4 }' /proc/net/if_inet6; fi
}

# The lock of the older variant; the root file system is read-only.
XTABLES_LOCKFILE=${XTABLES_LOCKFILE:-/dev/shm/tulle-xtables.lock}
export XTABLES_LOCKFILE

apply 4 1 nat_rules 4
scopes=$(ipv6_scopes)
if [ -n "$scopes" ]; then
  must=0
  if [ "$ipv6" = redirect ] || printf '%s\n' "$scopes" | grep -q '^00$'; then must=1; fi
  if [ "$ipv6" = redirect ]; then apply 6 "$must" nat_rules 6; else apply 6 "$must" refuse_rules; fi
fi
