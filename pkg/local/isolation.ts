import { spawnSync } from 'node:child_process';

/** Where the programs of an isolated pod live (DECISIONS L2). */
export interface Isolation {
  readonly kind: 'isolated' | 'proxy';
  /** For people: why it is this one. */
  readonly why: string;
  /** What can redirect connections to the sidecar. */
  readonly redirect: RedirectTool;
}

export type RedirectTool = 'iptables' | 'nft' | 'none';

export type IsolationWish = 'auto' | 'isolated' | 'proxy';

export interface IsolationHost {
  readonly platform: string;
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
}

const tools = ['unshare', 'ip', 'mount', 'setpriv', 'sh'] as const;

/** Finds out by doing whether pods can be isolated here; never throws. */
export function probeIsolation(wish: IsolationWish, host: IsolationHost): Isolation {
  if (wish === 'proxy') return proxy('asked for with --isolation proxy');
  if (host.platform !== 'linux') return proxy(`isolation needs Linux, this is ${host.platform}`);
  return probe(host);
}

function proxy(why: string): Isolation {
  return { kind: 'proxy', why, redirect: 'none' };
}

function probe({ path, uid, gid }: IsolationHost): Isolation {
  const run = (command: readonly string[]): { readonly output: string; readonly failure?: string } => {
    const [program = '', ...args] = command;
    const env = { PATH: `${path}:/usr/sbin:/sbin` };
    const { error, status, stdout, stderr } = spawnSync(program, args, { env, encoding: 'utf8', timeout: 10_000 });
    if (error) return { output: '', failure: error.message };
    const complaint = stderr.trim().split('\n').at(-1) || `status ${status}`;
    return status === 0 ? { output: stdout.trim() } : { output: '', failure: complaint };
  };
  for (const tool of tools) {
    if (run(['sh', '-c', 'command -v "$1"', 'sh', tool]).failure !== undefined) {
      return proxy(`the command "${tool}" is missing`);
    }
  }
  const app = `unshare --user --map-user=${uid} --map-group=${gid} --mount --pid --fork --kill-child --mount-proc -- true`;
  const { output, failure } = run([...podNamespaces, 'sh', '-c', `${networkProbe}\n${app}`]);
  if (failure !== undefined) return proxy(`namespaces are not allowed here (${failure})`);
  if (output !== 'nft' && output !== 'iptables') return proxy('neither nft nor iptables can redirect connections here');
  return { kind: 'isolated', why: 'the kernel allows it', redirect: output };
}

/** All that an isolated pod needs of the kernel, done for nothing; prints what redirects. */
const networkProbe = `set -e
mount -n --make-rprivate /
mount -n -t tmpfs tmpfs /run
ip link set lo up
ip addr add 192.0.2.2/32 dev lo
if printf 'table ip p {\\n chain o {\\n type nat hook output priority -100\\n meta l4proto tcp redirect to : ip daddr . tcp dport map { 192.0.2.1 . 1 : 2 }\\n }\\n}\\n' | nft -f - 2> /dev/null; then
  echo nft
elif printf '*nat\\n-A OUTPUT -d 192.0.2.1/32 -p tcp --dport 1 -j REDIRECT --to-ports 2\\nCOMMIT\\n' | iptables-restore --noflush 2> /dev/null; then
  echo iptables
else
  echo none
fi`;

/** A user who is root only in here, and a network, mounts, processes and a host name of the pod's own. */
const podNamespaces = [
  'unshare',
  '--user',
  '--map-root-user',
  '--net',
  '--mount',
  '--uts',
  '--ipc',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
  '--',
] as const;

export interface PodSpace {
  /** Stays visible, while the rest of /run is hidden: the run directories. */
  readonly runBase: string;
  /** The pod's own directory; holds `hosts` and `resolv.conf`, which lie over those in /etc, and an empty directory `mnt`. */
  readonly podDir: string;
  readonly ip: string;
  readonly hostname: string;
}

/**
 * The command that runs `command` as the first process of an isolated pod. Other sockets in /run (docker, D-Bus, the lock of
 * iptables, which only root could take) are hidden; a route over the loopback lets connections to addresses of the mesh
 * get as far as the redirection to the sidecar; what is not redirected is refused at once, rather than waited for.
 */
export function podCommand({ runBase, podDir, ip, hostname }: PodSpace, command: readonly string[]): readonly string[] {
  return [...podNamespaces, 'sh', '-eu', '-c', setUpScript, 'tulle-pod', runBase, podDir, ip, hostname, ...command];
}

const setUpScript = `
base=$1 pod=$2 ip=$3 name=$4
shift 4
mount -n --make-rprivate /
resolv=$(readlink -f /etc/resolv.conf || true)
mount -n -t tmpfs -o mode=755 tmpfs "$pod/mnt"
case $base in
  /run/*)
    mkdir -p "$pod/mnt/\${base#/run/}"
    mount -n --rbind "$base" "$pod/mnt/\${base#/run/}" ;;
esac
case $resolv in
  /run/*)
    mkdir -p "$pod/mnt/$(dirname "\${resolv#/run/}")"
    cp "$pod/resolv.conf" "$pod/mnt/\${resolv#/run/}" ;;
  /*)
    [ ! -e "$resolv" ] || mount -n --bind "$pod/resolv.conf" "$resolv" ;;
esac
mount -n --move "$pod/mnt" /run
mount -n --bind "$pod/hosts" /etc/hosts
ip link set lo up
ip addr add "$ip/32" dev lo
ip route add default dev lo src "$ip"
printf '%s\\n' 'table ip tulle_pod {' 'chain output {' 'type filter hook output priority 0' 'fib daddr type local accept' \\
  'meta l4proto tcp reject with tcp reset' 'reject' '}' '}' | nft -f - 2> /dev/null ||
  printf '%s\\n' '*filter' '-A OUTPUT -m addrtype --dst-type LOCAL -j ACCEPT' '-A OUTPUT -p tcp -j REJECT --reject-with tcp-reset' \\
    '-A OUTPUT -j REJECT' 'COMMIT' | iptables-restore --noflush 2> /dev/null || true
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start || true
hostname "$name" 2> /dev/null || true
"$@"
exit $?
`;
