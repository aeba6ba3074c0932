import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import type { OutboundListener } from './outbound-listener.ts';
import { createRedirect, toIptablesRules, toNftRules } from './redirect.ts';
import type { RunWithInput } from './redirect.ts';

const listener = (address: string, port: number): OutboundListener => ({
  address,
  port,
  key: 'shop/cart:80',
  protocol: 'http',
});
const two = [listener('10.96.0.1:80', 4001), listener('10.96.0.1:81', 4002), listener('[fd00::1]:80', 4003)];

describe('redirection', () => {
  it('writes all rules as one batch for iptables-restore, the jump only once', () => {
    const rules = [
      '-A TULLE_OUT -d 10.96.0.1/32 -p tcp --dport 80 -j REDIRECT --to-ports 4001',
      '-A TULLE_OUT -d 10.96.0.1/32 -p tcp --dport 81 -j REDIRECT --to-ports 4002',
    ];
    assert.deepEqual(toIptablesRules(two, true).split('\n'), [
      '*nat',
      ':TULLE_OUT - [0:0]',
      '-A OUTPUT -p tcp -j TULLE_OUT',
      ...rules,
      'COMMIT',
      '',
    ]);
    assert.deepEqual(toIptablesRules(two, false).split('\n'), ['*nat', ':TULLE_OUT - [0:0]', ...rules, 'COMMIT', '']);
  });

  it('writes one map for nft', () => {
    assert.match(toNftRules(two), /elements = \{ 10\.96\.0\.1 \. 80 : 4001, 10\.96\.0\.1 \. 81 : 4002 \}/);
    assert.doesNotMatch(toNftRules([]), /elements/);
  });

  const outside = { tcp: 4010, dnsUdp: 4011, dnsTcp: 4012, inside: ['10.96.0.0/12'] };

  it('leads names and all that is not of the mesh to ports of their own, after the mesh', () => {
    assert.deepEqual(toIptablesRules(two.slice(0, 1), true, outside).split('\n'), [
      '*nat',
      ':TULLE_OUT - [0:0]',
      '-A OUTPUT -j TULLE_OUT',
      '-A TULLE_OUT -d 10.96.0.1/32 -p tcp --dport 80 -j REDIRECT --to-ports 4001',
      '-A TULLE_OUT -d 198.18.0.1/32 -p udp --dport 53 -j REDIRECT --to-ports 4011',
      '-A TULLE_OUT -d 198.18.0.1/32 -p tcp --dport 53 -j REDIRECT --to-ports 4012',
      '-A TULLE_OUT -d 10.96.0.0/12 -j RETURN',
      '-A TULLE_OUT -p tcp -m addrtype ! --dst-type LOCAL -j REDIRECT --to-ports 4010',
      'COMMIT',
      '',
    ]);
    const nft = toNftRules(two, outside);
    assert.match(nft, /@ports\n.*udp dport 53 redirect to :4011\n[^]*10\.96\.0\.0\/12 return\n[^]*redirect to :4010\n/);
    assert.doesNotMatch(toNftRules(two), /198\.18/);
  });

  it('does one after the other, and of those that wait only the newest', async () => {
    const inputs: string[] = [];
    let release: (() => void) | undefined;
    const run: RunWithInput = async (_program, _args, input) => {
      inputs.push(input);
      if (inputs.length === 1) await new Promise<void>((resolve) => (release = resolve));
    };
    const redirect = createRedirect('nft', run);
    const first = redirect.apply([]);
    while (!release) await new Promise((resolve) => setImmediate(resolve));
    const later = [redirect.apply([two[0] as OutboundListener]), redirect.apply(two)];
    release();
    await Promise.all([first, ...later]);
    assert.equal(inputs.length, 2);
    assert.match(inputs[1] as string, /4002/);
  });

  for (const tool of ['nft', 'iptables'] as const) {
    it(`leads a connection to the sidecar's port, with the real ${tool}`, async function () {
      const program = tool === 'nft' ? 'nft' : 'iptables-restore';
      const inputs: { program: string; args: readonly string[]; input: string }[] = [];
      const keep: RunWithInput = (name, args, input) => {
        inputs.push({ program: name, args, input });
        return Promise.resolve();
      };
      const redirect = createRedirect(tool, keep, () => ({ ...outside, tcp: 4001 }));
      await redirect.apply([listener('10.96.0.1:80', 4001)]);
      await redirect.apply([listener('10.96.0.2:80', 4001)]);
      try {
        execFileSync(
          'unshare',
          [
            '--user',
            '--map-root-user',
            '--net',
            '--mount',
            'sh',
            '-c',
            `mount -t tmpfs tmpfs /run && command -v ${program}`,
          ],
          { stdio: 'ignore' },
        );
      } catch {
        this.skip();
      }
      // The namespace ends with its shell, so the whole experiment is one script.
      const applied = inputs
        .map(({ program: name, args, input }) => `${name} ${args.join(' ')} <<'END'\n${input}END\n`)
        .join('');
      const script = `
        mount -t tmpfs tmpfs /run
        ip link set lo up
        ip route add default dev lo src 127.0.0.1
        ${applied}
        exec "$0" -e '
          const net = require("node:net");
          net.createServer((s) => s.end("redirected")).listen(4001, "127.0.0.1", () => {
            const say = (ip) => new Promise((done) => {
              const s = net.connect(80, ip);
              s.setTimeout(1000, () => s.destroy());
              s.on("data", (d) => done(String(d)));
              s.on("error", () => undefined);
              s.on("close", () => done("nothing"));
            });
            Promise.all(["10.96.0.1", "10.96.0.2", "198.51.100.1"].map(say)).then((all) => {
              console.log(...all);
              process.exit();
            });
          });'
      `;
      const output = await new Promise<string>((resolve, reject) => {
        const args = ['--user', '--map-root-user', '--net', '--mount', 'sh', '-eu', '-c', script, process.execPath];
        execFile('unshare', args, (error, stdout, stderr) => (error ? reject(new Error(stderr)) : resolve(stdout)));
      });
      assert.equal(output, 'nothing redirected redirected\n');
    });
  }
});
