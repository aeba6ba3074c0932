import assert from 'node:assert/strict';
import { field } from './field-names.ts';
import { toForwardedRequest } from './forward-head.ts';
import type { RequestHead } from './head.ts';
import { defaultLimits } from './limits.ts';
import { event } from './message-parser.ts';
import { RequestParser } from './request-parser.ts';

function parse(text: string, parser = new RequestParser()): { parser: RequestParser; found: number[]; body: string } {
  parser.push(Buffer.from(text, 'latin1'));
  const found: number[] = [];
  let body = '';
  for (;;) {
    const next = parser.next();
    if (next === event.body) body += parser.body.toString('latin1');
    if (next !== event.body || found.at(-1) !== event.body) found.push(next);
    if (next === event.more || next === event.refused || next === event.paused) return { parser, found, body };
  }
}

function headOf(text: string): RequestHead {
  const { parser } = parse(text);
  assert.ok(parser.head, `no head: ${parser.refusal}`);
  return parser.head;
}

function refusalOf(text: string, parser = new RequestParser()): string {
  const { found } = parse(text, parser);
  return found.at(-1) === event.refused ? parser.refusal : 'none';
}

describe('RequestParser', () => {
  it('reads a head', () => {
    const head = headOf('GET /a?b HTTP/1.1\r\nHost: x:1\r\nX-A:  1 \r\nx-a:2\r\nEmpty:\r\n\r\n');
    assert.equal(head.method, 'GET');
    assert.equal(head.target, '/a?b');
    assert.equal(head.authority, 'x:1');
    assert.equal(head.keepAlive, true);
    assert.deepEqual(head.lines('x-a'), ['1', '2']);
    assert.deepEqual(head.lines('empty'), ['']);
    assert.deepEqual(head.lines('none'), []);
    assert.equal(head.first(field.host), 'x:1');
    assert.equal(head.first(field.traceparent), undefined);
  });

  it('takes pipelined requests one by one', () => {
    const { found } = parse('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.deepEqual(found, [event.head, event.end, event.head, event.end, event.more]);
  });

  it('hands bodies on as slices of the input', () => {
    const input = Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET');
    const parser = new RequestParser();
    parser.push(input);
    assert.equal(parser.next(), event.head);
    assert.equal(parser.next(), event.body);
    assert.equal(parser.body.toString(), 'hello');
    assert.equal(parser.body.buffer, input.buffer);
    assert.equal(parser.next(), event.end);
    assert.equal(parser.idle, false);
  });

  it('knows the forms of a target', () => {
    assert.deepEqual(
      ['GET http://b:1/c?d', 'GET http://b?d', 'OPTIONS http://b', 'OPTIONS *', 'GET /x'].map((line) => {
        const { form, path, authority } = headOf(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`);
        return [form, path, authority];
      }),
      [
        ['absolute', '/c?d', 'b:1'],
        ['absolute', '/?d', 'b'],
        ['absolute', '*', 'b'],
        ['asterisk', '*', 'a'],
        ['origin', '/x', 'a'],
      ],
    );
    const connect = headOf('CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n');
    assert.deepEqual([connect.form, connect.authority, connect.maySwitch], ['authority', 'a:443', true]);
  });

  it('pauses behind a request that offers to switch, and goes on when that is declined', () => {
    const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n';
    const { parser, found } = parse(`${upgrade}GET /2 HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.deepEqual(found, [event.head, event.end, event.paused]);
    assert.equal(parser.head?.upgrade, 'websocket');
    parser.resume();
    assert.equal(parser.next(), event.head);
    const { parser: other } = parse(`${upgrade}\x81\x00`);
    assert.equal(other.takeRest().toString('latin1'), '\x81\x00');
  });

  it('bounds what a peer may send', () => {
    const limits = {
      ...defaultLimits,
      headBytes: 200,
      startLineBytes: 60,
      headerCount: 3,
    };
    const refused = (text: string): string => refusalOf(text, new RequestParser(limits));
    const head = 'GET / HTTP/1.1\r\nHost: a\r\n';
    assert.equal(refused(`${head}\r\n`), 'none');
    assert.equal(refused(`${head}X: ${'y'.repeat(300)}`), 'headTooLarge');
    assert.equal(refused(`GET /${'y'.repeat(60)}`), 'startLineTooLong');
    assert.equal(refused(`${head}A: b\r\nB: c\r\nC: d\r\n\r\n`), 'tooManyFields');
    const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    assert.equal(refusalOf(`${chunked}5;a=${'b'.repeat(5000)}`), 'chunkExtension');
    assert.equal(refusalOf(`${chunked}0\r\nX: ${'b'.repeat(9000)}`), 'headTooLarge');
  });

  const cases: readonly (readonly [reason: string, text: string])[] = [
    ['method', 'get / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['method', 'FOO / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['version', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'],
    ['version', 'GET /\r\nHost: a\r\n\r\n'],
    ['target', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['target', 'GET /#f HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['target', 'GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['target', 'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['target', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['target', 'CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['startLine', '\x16\x03\x01\x02\x00'],
    ['bareLineEnd', 'GET / HTTP/1.1\nHost: a\n\n'],
    ['bareLineEnd', '\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['blankLines', '\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['host', 'GET / HTTP/1.1\r\n\r\n'],
    ['host', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
    ['host', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
    ['fieldName', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
    ['fieldName', 'GET / HTTP/1.1\r\n: a\r\n\r\n'],
    ['fieldFolded', 'GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n'],
    ['fieldFolded', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n'],
    ['fieldValue', 'GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n'],
    ['bareLineEnd', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n'],
    ['bareLineEnd', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n'],
    ['contentLength', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n'],
    ['contentLength', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n'],
    ['contentLength', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n'],
    ['contentLength', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\n'],
    ['lengthAndEncoding', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['transferCoding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['transferEncoding', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['connection', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close foo\r\n\r\n'],
    ['expectation', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n'],
    ['upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: a, b\r\n\r\n'],
    ['dataAfterClose', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET'],
  ];
  for (const [reason, text] of cases) {
    it(`refuses ${JSON.stringify(text.slice(0, 90))}: ${reason}`, () => {
      assert.equal(refusalOf(text), reason);
    });
  }
});

describe('chunked bodies', () => {
  const start = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';

  it('are handed on as they came', () => {
    const wire = '5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n';
    const { parser, found, body } = parse(start + wire);
    assert.deepEqual(found, [event.head, event.body, event.end, event.more]);
    assert.equal(body, wire);
    assert.equal(parser.idle, true);
  });

  it('lose their extensions, and those trailers that a receiver might take for more', () => {
    const { body } = parse(`${start}005;a="b;\\"c"\r\nhello\r\n0;x=y\r\nX-Sum: 1\r\nx-tulle-a: b\r\n\r\n`);
    assert.equal(body, '5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n');
  });

  for (const [reason, wire] of [
    ['chunkSize', '5 \r\nhello'],
    ['chunkSize', '0x5\r\nhello'],
    ['chunkSize', 'ffffffffffffffff\r\n'],
    ['chunkSize', '\r\n'],
    ['bareLineEnd', '5\rhello'],
    ['chunkSize', '5\nhello'],
    ['chunkEnd', '5\r\nhello!\r\n'],
    ['chunkEnd', '5\r\nhello\n0\r\n\r\n'],
    ['chunkExtension', '5;a\nhello'],
    ['chunkExtension', '5;\r\nhello'],
    ['chunkExtension', '5; a\r\nhello'],
    ['trailer', '0\r\nContent-Length: 5\r\n\r\n'],
    ['fieldFolded', '0\r\n X: 5\r\n\r\n'],
  ] as const) {
    it(`refuses ${JSON.stringify(wire)}: ${reason}`, () => assert.equal(refusalOf(start + wire), reason));
  }
});

describe('toForwardedRequest', () => {
  it('sends lines on as they stand, without those of the connection', () => {
    const head = headOf(
      'GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: x\r\nX-Hop: 1\r\nx-Keep:2\r\nTE: trailers\r\n\r\n',
    );
    assert.equal(toForwardedRequest(head, {}, ''), 'GET /a HTTP/1.1\r\nHost: a\r\nx-Keep:2\r\n\r\n');
  });

  it('puts in other paths, hosts and lines', () => {
    const head = headOf('GET http://b/x HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nX-Envoy-A: b\r\nX-Y: z\r\n\r\n');
    assert.equal(
      toForwardedRequest(head, { drop: 1 << field.xEnvoy, dropNames: ['x-y'], add: 'A: b\r\n' }, ''),
      'GET /x HTTP/1.1\r\nAccept: */*\r\nHost: b\r\nA: b\r\n\r\n',
    );
    assert.equal(
      toForwardedRequest(head, { path: '/z', host: 'c' }, ''),
      'GET /z HTTP/1.1\r\nAccept: */*\r\nX-Envoy-A: b\r\nX-Y: z\r\nHost: c\r\n\r\n',
    );
  });

  it('never lets a Connection line take framing or Host away', () => {
    const head = headOf(
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length\r\nContent-Length: 5\t\r\n\r\n'.replace(
        '\t',
        ' ',
      ),
    );
    assert.equal(toForwardedRequest(head, {}, ''), 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    assert.deepEqual(head.forwardedLines('content-length'), ['5']);
  });

  it('hides from policy what the next hop will not see', () => {
    const head = headOf('GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Role\r\nX-Role: admin\r\n\r\n');
    assert.deepEqual(head.lines('x-role'), ['admin']);
    assert.deepEqual(head.forwardedLines('x-role'), []);
  });
});
