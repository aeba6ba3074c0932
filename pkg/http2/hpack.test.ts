import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { connect as connectSocket, createServer as createSocketServer } from 'node:net';
import fc from 'fast-check';
import { Http2Connection } from './connection.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { decodeHuffman } from './huffman.ts';

const limits = { bytes: 60 * 1024, fields: 100 };

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

function decodeAll(decoder: HpackDecoder, blocks: readonly string[]): (readonly string[])[] {
  return blocks.map((block) => decoder.decode(hex(block)).fields);
}

const first = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'];
const requests = [
  first,
  [...first, 'cache-control', 'no-cache'],
  [
    ':method',
    'GET',
    ':scheme',
    'https',
    ':path',
    '/index.html',
    ':authority',
    'www.example.com',
    'custom-key',
    'custom-value',
  ],
];
const date = (seconds: number): string[] => ['date', `Mon, 21 Oct 2013 20:13:${seconds} GMT`];
const answers = [
  [':status', '302', 'cache-control', 'private', ...date(21), 'location', 'https://www.example.com'],
  [':status', '307', 'cache-control', 'private', ...date(21), 'location', 'https://www.example.com'],
  [
    ...[':status', '200', 'cache-control', 'private', ...date(22), 'location', 'https://www.example.com'],
    ...['content-encoding', 'gzip', 'set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
  ],
];

describe('the examples of RFC 7541, Appendix C', () => {
  it('C.2: each representation', () => {
    const decode = (text: string): readonly string[] => new HpackDecoder(limits).decode(hex(text)).fields;
    assert.deepEqual(decode('400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'), [
      'custom-key',
      'custom-header',
    ]);
    assert.deepEqual(decode('040c 2f73 616d 706c 652f 7061 7468'), [':path', '/sample/path']);
    assert.deepEqual(decode('1008 7061 7373 776f 7264 0673 6563 7265 74'), ['password', 'secret']);
    assert.deepEqual(decode('82'), [':method', 'GET']);
  });

  it('C.3: requests without Huffman coding', () => {
    const decoder = new HpackDecoder(limits);
    const blocks = [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ];
    assert.deepEqual(decodeAll(decoder, blocks), requests);
  });

  it('C.4: requests with Huffman coding', () => {
    const decoder = new HpackDecoder(limits);
    const blocks = [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ];
    assert.deepEqual(decodeAll(decoder, blocks), requests);
  });

  it('C.5: answers without Huffman coding, with a table that evicts', () => {
    const decoder = new HpackDecoder(limits, 256);
    const blocks = [
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e
       1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
      '4803 3330 37c1 c0bf',
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d
       4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572
       7369 6f6e 3d31`,
    ];
    assert.deepEqual(decodeAll(decoder, blocks), answers);
  });

  it('C.6: answers with Huffman coding, with a table that evicts', () => {
    const decoder = new HpackDecoder(limits, 256);
    const blocks = [
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b
       97c8 e9ae 82ae 43d3`,
      '4883 640e ffc1 c0bf',
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf
       cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    ];
    assert.deepEqual(decodeAll(decoder, blocks), answers);
  });
});

describe('Huffman strings', () => {
  const decode = (text: string): string => decodeHuffman(hex(text), 0, hex(text).length);

  it('are decoded, the longest codes too', () => {
    assert.equal(decode('f1e3 c2e5 f23a 6ba0 ab90 f4ff'), 'www.example.com');
    assert.equal(decode(''), '');
    // 0x0a has 30 bits: 3ffffffc, and two of padding.
    assert.equal(decode('ffff fff3'), '\n');
  });

  it('are refused with the end of string in them, and with padding of a byte or of other than ones', () => {
    assert.throws(() => decode('ffff ffff'), /end inside|padded/);
    assert.throws(() => decode('1fff'), /padded/);
    assert.throws(() => decode('18'), /padded/);
  });
});

const name = fc
  .stringMatching(/^[a-z][a-z0-9-]{0,20}$/)
  .filter(
    (text) =>
      !/^(connection|keep-alive|proxy-connection|transfer-encoding|upgrade|http2-settings|te|host|content-length|date|cookie)$/.test(
        text,
      ),
  );
const value = fc.oneof(
  fc.constantFrom('', 'a', 'gzip, deflate', '200'),
  fc.stringMatching(/^[!-~]{1,60}$/),
  fc.stringMatching(/^[x]{100,300}$/),
);
const list = fc.array(
  fc.tuple(fc.oneof(fc.constantFrom('accept', 'authorization', 'x-a', 'set-cookie', 'accept-encoding'), name), value),
  { maxLength: 20 },
);

describe('HPACK, our encoder and our decoder', () => {
  it('give each block as it was, over many blocks and sizes of the table', () => {
    const step = fc.oneof(
      { weight: 9, arbitrary: list },
      { weight: 1, arbitrary: fc.constantFrom(0, 33, 100, 1000, 4096, 70_000) },
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder({ bytes: 1e6, fields: 1000 });
        for (const item of steps) {
          if (typeof item === 'number') {
            encoder.setTableSize(item);
            continue;
          }
          const fields = item.flat();
          const block = decoder.decode(Buffer.from(encoder.encode(fields)));
          assert.deepEqual(block, { fields, overflow: false, malformed: false });
        }
      }),
    );
  });

  it('say the smallest size of the table first when it changed twice (RFC 7541 §4.2)', () => {
    const encoder = new HpackEncoder();
    encoder.setTableSize(0);
    encoder.setTableSize(4096);
    assert.equal(Buffer.from(encoder.encode([':method', 'GET'])).toString('hex'), '203fe11f82');
    assert.equal(Buffer.from(encoder.encode([':method', 'GET'])).toString('hex'), '82');
  });

  it('never put a secret into a table', () => {
    const encoder = new HpackEncoder();
    const [one, two] = [1, 2].map(() => Buffer.from(encoder.encode(['cookie', 'a=b', 'authorization', 'Bearer x'])));
    assert.deepEqual(one, two);
  });
});

describe('an HPACK decoder, given what must not be', () => {
  const decode = (...blocks: readonly string[]) => {
    const decoder = new HpackDecoder(limits);
    return blocks.map((block) => decoder.decode(hex(block)));
  };

  it('goes on with a good name whose value was bad', () => {
    // x-a: " b" into the table; x-a: "c" by its index.
    const [bad, good] = decode('4003 782d 6102 2062', '7e01 63');
    assert.equal(bad?.malformed, true);
    assert.deepEqual(good, { fields: ['x-a', 'c'], overflow: false, malformed: false });
  });

  it('calls a name bad each time that it is pointed at', () => {
    const [, again] = decode('4001 5801 62', '7e01 63');
    assert.equal(again?.malformed, true);
  });

  it('keeps no more than the limits of what points at one large entry', () => {
    const decoder = new HpackDecoder(limits);
    const large = Buffer.concat([hex('4001 617f e11d'), Buffer.alloc(3936, 'v')]);
    decoder.decode(large);
    const { fields, overflow } = decoder.decode(Buffer.alloc(100_000, 0xbe));
    assert.equal(overflow, true);
    assert.ok(fields.length <= 2 * 15);
  });

  it('refuses integers without end, sizes beyond what was allowed or inside of a block', () => {
    assert.throws(() => decode('ff ffff ffff ff0f'), /too long/);
    assert.throws(() => decode('3fe2 1f'), /too large/);
    assert.throws(() => decode('82 20'), /inside/);
    assert.throws(() => decode('00 7f ffff 7f'), /cut off/);
    assert.throws(() => decode('80'), /index 0/);
  });
});

describe("HPACK, with node's HTTP/2 on the other side", () => {
  it('gives what its client sent, and what its server answered', async function () {
    this.timeout(60_000);
    const received: (readonly string[])[] = [];
    const sockets: Http2Connection[] = [];
    const ours = createSocketServer((socket) =>
      sockets.push(
        new Http2Connection(socket, 'server', {
          limits: {
            headerBytes: 60 * 1024,
            headerFields: 100,
            streams: 100,
            streamWindow: 65_535,
            connectionWindow: 1 << 20,
          },
          now: () => 0,
          onRequest(stream, { fields }) {
            received.push(fields);
            stream.sendHeaders([':status', '200', ...fields], true);
          },
        }),
      ),
    ).listen(0, '127.0.0.1');
    await once(ours, 'listening');
    const session = connect(`http://127.0.0.1:${(ours.address() as AddressInfo).port}`);
    try {
      await fc.assert(
        fc.asyncProperty(list, async (pairs) => {
          // Node sends a single line of some fields only.
          const fields = [...new Map(pairs)].filter(([key, text]) => text !== '' && key !== 'set-cookie');
          const stream = session.request(Object.fromEntries(fields));
          const [, , raw] = (await once(stream, 'response')) as [unknown, unknown, string[]];
          stream.resume();
          await once(stream, 'close');
          assert.deepEqual(toPairs(received.at(-1) ?? []), toPairs(fields.flat()));
          assert.deepEqual(toPairs(raw.slice(2)), toPairs(fields.flat()));
        }),
        { numRuns: 60 },
      );
    } finally {
      session.destroy();
      for (const connection of sockets) connection.destroy();
      ours.close();
    }
  });

  it('is understood by its server, whatever size of table that wants', async function () {
    this.timeout(60_000);
    for (const headerTableSize of [0, 100, 4096, 65_536]) {
      const theirs = createServer({ settings: { headerTableSize } }).listen(0, '127.0.0.1');
      theirs.on('stream', (stream: ServerHttp2Stream, _headers: unknown, _flags: unknown, raw: string[]) => {
        stream.respond(
          { ':status': 200, 'x-seen': Buffer.from(JSON.stringify(raw)).toString('hex') },
          { endStream: true },
        );
      });
      await once(theirs, 'listening');
      const socket = connectSocket({ port: (theirs.address() as AddressInfo).port, host: '127.0.0.1' });
      await once(socket, 'connect');
      const ready = new EventEmitter();
      const connection = new Http2Connection(socket, 'client', {
        limits: {
          headerBytes: 60 * 1024,
          headerFields: 100,
          streams: 100,
          streamWindow: 65_535,
          connectionWindow: 1 << 20,
        },
        now: () => 0,
        onReady: () => void ready.emit('ready'),
      });
      await once(ready, 'ready');
      try {
        await fc.assert(
          fc.asyncProperty(list, async (pairs) => {
            const head = [':method', 'GET', ':scheme', 'http', ':authority', 'a', ':path', '/', ...pairs.flat()];
            const seen = await new Promise<readonly string[]>((resolve, reject) => {
              let answer: readonly string[] = [];
              connection.request(head, true, {
                headers: (block) => (answer = block),
                data: () => undefined,
                closed: (code) => (code === 0 ? resolve(answer) : reject(new Error(`code ${code}`))),
              });
            });
            const at = seen.indexOf('x-seen');
            assert.deepEqual(JSON.parse(Buffer.from(seen[at + 1] ?? '', 'hex').toString()), head);
          }),
          { numRuns: 40 },
        );
      } finally {
        connection.destroy();
        theirs.close();
      }
    }
  });
});

function toPairs(fields: readonly string[]): string[] {
  const pairs: string[] = [];
  for (let i = 0; i < fields.length; i += 2) pairs.push(`${fields[i]}: ${fields[i + 1]}`);
  return pairs.filter((pair) => !pair.startsWith('date: ')).sort();
}
