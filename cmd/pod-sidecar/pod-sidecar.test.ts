import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const scriptOf = (name: string): string => join(import.meta.dirname, `tulle-${name}.sh`);
const script = scriptOf('rules');
type Env = Readonly<Record<string, string>>;

interface Ran {
  readonly status: number | null;
  readonly output: string;
}

function run(program: string, args: readonly string[], env: Env = {}): Ran {
  const path = { PATH: process.env['PATH'] ?? '' };
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...path, ...env },
  });
  return { status, output: `${stdout}${stderr}` };
}

/** What it says, without keeping this process waiting. */
function runLater(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => execFile(program, [...args], { timeout: 60_000 }, (_, stdout) => resolve(stdout)));
}

describe('tulle-rules.sh, given what it can not use', () => {
  const bad: readonly (readonly [string, string, RegExp])[] = [
    ['TULLE_INBOUND_PORT_EXCLUSIONS', '80,many', /TULLE_INBOUND_PORT_EXCLUSIONS is "many": a number from 1 to 65535/],
    ['TULLE_OUTBOUND_PORT_EXCLUSIONS', '70000', /"70000": a number from 1 to 65535/],
    ['TULLE_OPEN_PORTS', '15021 -j ACCEPT', /"15021 -j ACCEPT": a number/],
    ['TULLE_OUTBOUND_CIDR_EXCLUSIONS', '10.0.0.0', /"10\.0\.0\.0": a range such as/],
    ['TULLE_OUTBOUND_CIDR_EXCLUSIONS', '10.0.0.0/33', /a number from 0 to 32/],
    ['TULLE_OUTBOUND_CIDR_INCLUSIONS', '10.0.0.0/8 -j ACCEPT', /a range such as/],
    ['TULLE_INTERFACE_EXCLUSIONS', '-j', /not the name of an interface/],
    ['TULLE_INTERFACE_EXCLUSIONS', 'a-name-that-is-too-long', /not the name of an interface/],
    ['TULLE_PROXY_UID', '0', /a number from 1 to/],
    ['TULLE_IPV6', 'maybe', /refuse or redirect/],
    ['TULLE_POD_IP', '$(id)', /not an address/],
  ];
  for (const [name, value, message] of bad)
    it(`touches nothing and says which: ${name}=${value}`, () => {
      // No iptables is to be found: if it came so far, it would say that instead.
      const { status, output } = run('/bin/sh', [script], { [name]: value });
      assert.equal(status, 1, output);
      assert.match(output, message);
      assert.doesNotMatch(output, /rules by/);
    });
});

/** Why there can be no pods here; undefined: there can. */
function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are of Linux';
  if (process.getuid?.() !== 0) return 'only root may make network namespaces that meet';
  const missing = ['ip', 'iptables', 'ip6tables', 'setpriv', 'curl', 'unshare', 'bash'].find(
    (tool) => run('sh', ['-c', `command -v ${tool}`]).status !== 0,
  );
  if (missing !== undefined) return `"${missing}" is missing`;
  const name = `tulle-probe-${process.pid}`;
  const { status, output } = run('ip', ['netns', 'add', name]);
  run('ip', ['netns', 'del', name]);
  return status === 0 ? undefined : `network namespaces are not allowed here: ${output}`;
}

/** Says, on every port of the pod and of the world, which one it is; and in the sidecar's stead where it was led. */
const serverSource = `
import { createServer } from 'node:net';
for (const spec of process.argv.slice(2)) {
  const [host, port] = spec.split('|');
  createServer((s) => { s.on('error', () => {}); s.end('HTTP/1.0 200 OK\\r\\n\\r\\nport ' + port); }).listen({ port: Number(port), host, ipv6Only: true });
}
process.stdout.write('ready');
`;

describe('tulle-rules.sh, in a pod', function () {
  this.timeout(120_000);
  const [pod, world] = [`tulle-p${process.pid}`, `tulle-w${process.pid}`];
  const podIp = '10.232.7.2';
  const worldIp = '10.232.7.1';
  const elsewhere = '10.99.0.1';
  let directory = '';
  const servers: ChildProcess[] = [];

  const must = (program: string, ...args: string[]): string => {
    const { status, output } = run(program, args);
    assert.equal(status, 0, `${program} ${args.join(' ')}: ${output}`);
    return output;
  };
  const within = (name: string, ...command: string[]): string => must('ip', 'netns', 'exec', name, ...command);

  /** As the container does: a read-only root but for /dev/shm, so a lock file that can't be in /run. */
  function init(env: Env = {}): Ran {
    const inside = `mount -t tmpfs -o ro none /run && exec /bin/sh ${script}`;
    return run('ip', ['netns', 'exec', pod, 'unshare', '-m', 'sh', '-c', inside], {
      TULLE_RESOLV_CONF: join(directory, 'resolv.conf'),
      ...env,
    });
  }

  function rules(tool = 'iptables-save'): string[] {
    return within(pod, tool)
      .split('\n')
      .filter((line) => line.startsWith('-A'));
  }

  before(async function () {
    const why = whyNot();
    if (why !== undefined) {
      process.stdout.write(`    skipped: ${why}\n`);
      return this.skip();
    }
    directory = mkdtempSync(join(tmpdir(), 'tulle-rules-'));
    chmodSync(directory, 0o755);
    writeFileSync(join(directory, 'server.mjs'), serverSource);
    writeFileSync(join(directory, 'resolv.conf'), `search shop.svc\nnameserver ${elsewhere}\noptions ndots:5\n`);
    for (const name of [pod, world]) must('ip', 'netns', 'add', name);
    must('ip', 'link', 'add', 'eth0', 'netns', pod, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', world);
    for (const [name, own, own6] of [
      [pod, podIp, 'fd07::2'],
      [world, worldIp, 'fd07::1'],
    ] as const) {
      within(name, 'ip', 'link', 'set', 'lo', 'up');
      within(name, 'ip', 'addr', 'add', `${own}/24`, 'dev', 'eth0');
      run('ip', ['netns', 'exec', name, 'ip', 'addr', 'add', `${own6}/64`, 'dev', 'eth0', 'nodad']);
      within(name, 'ip', 'link', 'set', 'eth0', 'up');
    }
    within(pod, 'ip', 'route', 'add', 'default', 'via', worldIp);
    within(world, 'ip', 'addr', 'add', `${elsewhere}/32`, 'dev', 'lo');
    // In the pod: the app on 8080, 9100 and 7777; the sidecar's ports; out in the world: anything.
    await serve(
      pod,
      ['8080', '9100', '15001', '15003', '15021', '15901'].map((port) => `0.0.0.0|${port}`).concat('::|8080'),
    );
    await serve(
      world,
      ['80', '53', '6379', '443'].map((port) => `0.0.0.0|${port}`),
    );
  });

  async function serve(name: string, specs: readonly string[]): Promise<void> {
    const child = spawn('ip', ['netns', 'exec', name, process.execPath, join(directory, 'server.mjs'), ...specs], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    servers.push(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
  }

  after(() => {
    for (const server of servers) server.kill('SIGKILL');
    for (const name of [pod, world]) run('ip', ['netns', 'del', name]);
    if (directory !== '') rmSync(directory, { recursive: true, force: true });
  });

  /** Which port answered. `uid` 1500 is the sidecar. */
  function dial(from: string, address: string, uid = 1000, source?: string): string {
    const drop = ['setpriv', '--reuid', String(uid), '--clear-groups'];
    const bind = source === undefined ? [] : ['--interface', `host!${source}`];
    const curl = ['curl', '-s', '--globoff', '-m', '3', ...bind, `http://${address}/`];
    return run('ip', ['netns', 'exec', from, ...drop, ...curl]).output || 'nothing';
  }

  it('leads what comes in to the sidecar, but for its own open ports', () => {
    const { status, output } = init({ TULLE_OPEN_PORTS: '15021,15901' });
    assert.equal(status, 0, output);
    assert.match(output, /rules by iptables/);
    assert.equal(dial(world, `${podIp}:8080`), 'port 15003');
    assert.equal(dial(world, `${podIp}:15001`), 'port 15003');
    assert.equal(dial(world, `${podIp}:15021`), 'port 15021');
    assert.equal(dial(world, `${podIp}:15901`), 'port 15901');
  });

  it('leads what the app sends out to the sidecar, and lets the sidecar’s own pass', () => {
    assert.equal(dial(pod, `${elsewhere}:80`), 'port 15001');
    assert.equal(dial(pod, `${elsewhere}:80`, 0), 'port 15001');
    assert.equal(dial(pod, `${elsewhere}:80`, 1500), 'port 80');
  });

  it('leaves loopback and the pod’s own address to the app', () => {
    assert.equal(dial(pod, '127.0.0.1:8080'), 'port 8080');
    assert.equal(dial(pod, `${podIp}:8080`), 'port 8080');
    assert.equal(dial(pod, '127.0.0.1:8080', 1500), 'port 8080');
  });

  it('brings the sidecar’s calls of its own pod in by the front door', () => {
    assert.equal(dial(pod, `${podIp}:8080`, 1500), 'port 15003');
  });

  it('lets the sidecar bring what came in to the app at the pod’s own address', () => {
    assert.equal(dial(pod, `${podIp}:8080`, 1500, '127.0.0.6'), 'port 8080');
    // Nobody gets out by it.
    for (const uid of [1000, 1500]) assert.equal(dial(pod, `${elsewhere}:80`, uid, '127.0.0.6'), 'nothing');
  });

  it('leaves DNS over TCP to the name servers alone, and no other port of theirs', () => {
    assert.equal(dial(pod, `${elsewhere}:53`), 'port 53');
    assert.equal(dial(pod, `${worldIp}:53`), 'port 15001');
  });

  it('refuses TCP over IPv6 into the pod, beside which nothing may come in', function () {
    if (!within(pod, 'ip', '-6', 'addr', 'show', 'dev', 'eth0').includes('fd07::2')) return this.skip();
    assert.match(rules('ip6tables-save').join('\n'), /TULLE_REFUSE .*REJECT/);
    assert.equal(dial(world, '[fd07::2]:8080'), 'nothing');
    assert.equal(dial(pod, '[::1]:8080'), 'port 8080');
  });

  it('changes nothing when it runs again', () => {
    const before = [rules(), rules('ip6tables-save')];
    assert.equal(init({ TULLE_OPEN_PORTS: '15021,15901' }).status, 0);
    assert.deepEqual([rules(), rules('ip6tables-save')], before);
  });

  it('leaves out ports, however many, addresses and interfaces', () => {
    const many = Array.from({ length: 40 }, (_, index) => 20_000 + index).join(',');
    const { status, output } = init({
      TULLE_OPEN_PORTS: '15021',
      TULLE_INBOUND_PORT_EXCLUSIONS: `${many}, 9100`,
      TULLE_OUTBOUND_PORT_EXCLUSIONS: '6379',
      TULLE_OUTBOUND_CIDR_EXCLUSIONS: `${worldIp}/32,fd00::/8`,
      TULLE_INTERFACE_EXCLUSIONS: 'net1',
    });
    assert.equal(status, 0, output);
    assert.equal(dial(world, `${podIp}:9100`), 'port 9100');
    assert.equal(dial(world, `${podIp}:15901`), 'port 15003');
    assert.equal(dial(pod, `${elsewhere}:6379`), 'port 6379');
    assert.equal(dial(pod, `${worldIp}:443`), 'port 443');
    assert.equal(dial(pod, `${elsewhere}:443`), 'port 15001');
    assert.equal(rules().filter((rule) => rule.includes('net1')).length, 2);
    const widest = Math.max(...rules().map((rule) => (/--dports ([\d,]+)/.exec(rule)?.[1] ?? '').split(',').length));
    assert.equal(widest, 15);
  });

  it('leads nothing but the included addresses to the sidecar, exclusions before inclusions', () => {
    const { status, output } = init({
      TULLE_OUTBOUND_CIDR_INCLUSIONS: '10.99.0.0/16',
      TULLE_OUTBOUND_PORT_EXCLUSIONS: '6379',
    });
    assert.equal(status, 0, output);
    assert.equal(dial(pod, `${elsewhere}:80`), 'port 15001');
    assert.equal(dial(pod, `${worldIp}:80`), 'port 80');
    assert.equal(dial(pod, `${elsewhere}:6379`), 'port 6379');
  });

  it('leads the sidecar to the address of the pod where the app listens on it alone', () => {
    assert.equal(init({ TULLE_POD_IP: podIp }).status, 0);
    const rule = rules().find((one) => one.includes('DNAT'));
    assert.match(rule ?? '', new RegExp(`--to-destination ${podIp}`));
    assert.equal(dial(pod, '127.0.0.1:9100', 1500), 'port 9100');
    assert.equal(init().status, 0);
  });

  it('puts new rules in the place of the old ones in one step: a sidecar that restarts leaves no hole', async () => {
    assert.equal(init({ TULLE_OPEN_PORTS: '15021' }).status, 0);
    let restarts = 0;
    const restarting = (async () => {
      for (; restarts < 10; restarts++) await runLater('ip', ['netns', 'exec', pod, '/bin/sh', script]);
    })();
    const answers = new Set<string>();
    while (restarts < 10) {
      const curl = ['curl', '-s', '-m', '3', `http://${podIp}:8080/`];
      answers.add((await runLater('ip', ['netns', 'exec', world, ...curl])) || 'nothing');
    }
    await restarting;
    assert.deepEqual([...answers], ['port 15003']);
  });

  const fakeEnvoy = (): Env => {
    const source =
      '#!/bin/sh\necho "args $*"\necho "file $(cat /dev/fd/3)"\ncat /proc/self/status\necho to the log > /dev/stdout\n';
    writeFileSync(join(directory, 'envoy'), source, { mode: 0o755 });
    return { PATH: `${directory}:${process.env['PATH'] ?? ''}` };
  };

  it('becomes Envoy, as its user, in the groups that it has and with no capability, once the rules are there', () => {
    const least = '-all,+net_admin,+net_raw,+setuid';
    const drop = ['setpriv', '--regid', '1500', '--groups', '1500,77', '--bounding-set', least, '--inh-caps', '-all'];
    const become = [...drop, scriptOf('sidecar'), '--config-yaml', '{"a": "b c"}'];
    // As in a container its output is a pipe.
    const inside = ['netns', 'exec', pod, 'sh', '-c', '"$@" | cat', 'sh', ...become];
    const { status, output } = run('ip', inside, { ...fakeEnvoy(), TULLE_OPEN_PORTS: '15021,15907' });
    assert.equal(status, 0, output);
    assert.match(output, /^args --config-path \/dev\/fd\/3 --config-yaml \{"a": "b c"\}$/m);
    assert.match(output, /^file \{\}$/m);
    assert.match(rules().join('\n'), /15907/);
    assert.match(output, /^Uid:\s1500\s1500\s1500\s1500$/m);
    assert.match(output, /^Gid:\s1500\s1500\s1500\s1500$/m);
    assert.match(output, /^Groups:\s77 1500\s*$/m);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) assert.match(output, new RegExp(`^${set}:\\s0+$`, 'm'));
    assert.match(output, /^NoNewPrivs:\s1$/m);
    assert.match(output, /^to the log$/m);
  });

  it('gives Envoy what it can not read where the rules can not be written', () => {
    const drop = ['setpriv', '--bounding-set', '-all,+setuid', '--inh-caps', '-all'];
    const { output } = run('ip', ['netns', 'exec', pod, ...drop, scriptOf('sidecar')], fakeEnvoy());
    assert.match(output, /tulle: the packet rules could not be written/);
    assert.match(output, /^file \{"packet rules": "could not be written"\}$/m);
  });

  const wait = (env: Env): Ran =>
    run('ip', ['netns', 'exec', pod, scriptOf('wait')], {
      TULLE_TERMINATION_LOG: join(directory, 'termination-log'),
      ...env,
    });

  it('holds the next container back until the sidecar is ready', () => {
    const { status, output } = wait({ TULLE_READY_TIMEOUT: '20' });
    assert.equal(status, 0, output);
    assert.equal(existsSync(join(directory, 'termination-log')), false);
  });

  it('opens the gate of a pod that starts fast when the sidecar is ready, not before, and shuts it when it drains', () => {
    const open = join(directory, 'open');
    const env = { TULLE_GATE: directory };
    assert.equal(wait({ ...env, TULLE_READY_TIMEOUT: '1', TULLE_READY_PORT: '15099' }).status, 1);
    assert.equal(existsSync(open), false);
    rmSync(join(directory, 'termination-log'));
    for (const time of ['once', 'and again after a restart'])
      assert.equal(wait({ ...env, TULLE_READY_TIMEOUT: '20' }).status, 0, time);
    assert.equal(existsSync(open), true);
    run('ip', ['netns', 'exec', pod, scriptOf('drain')], env);
    assert.equal(existsSync(open), false);
  });

  for (const [what, uid, seconds] of [
    ['while the app listens', '1500', [3, 6]],
    ['as long as it must where nobody but the sidecar does', '0', [1, 3]],
  ] as const)
    it(`an ordinary sidecar that is told to end waits ${what}`, () => {
      const start = performance.now();
      const env = { TULLE_ADMIN_PORT: '15021', TULLE_PROXY_UID: uid };
      const { status, output } = run('ip', ['netns', 'exec', pod, scriptOf('drain'), '1', '3'], env);
      const took = (performance.now() - start) / 1000;
      assert.equal(status, 0, output);
      assert.ok(took >= seconds[0] && took < seconds[1], `${took} s`);
    });

  it('fails in time when the sidecar does not get ready, and says in the pod’s status what to look at', () => {
    const { status, output } = wait({
      ...{ TULLE_READY_TIMEOUT: '1', TULLE_READY_PORT: '15099' },
      TULLE_CONTROLLER: 'tulle-controller.tulle-system.svc:15128',
    });
    assert.equal(status, 1);
    const message = readFileSync(join(directory, 'termination-log'), 'utf8');
    assert.match(message, /not ready within 1 s\..* tulle-controller\.tulle-system\.svc:15128/);
    assert.ok(output.includes(message));
  });

  it('says what it needs where it may not write rules', () => {
    const inside = ['netns', 'exec', pod, 'setpriv', '--bounding-set', '-all', '--inh-caps', '-all', '/bin/sh', script];
    const { status, output } = run('ip', inside);
    assert.equal(status, 1, output);
    assert.match(output, /NET_ADMIN and NET_RAW/);
  });
});
