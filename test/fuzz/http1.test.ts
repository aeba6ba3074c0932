import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import { toForwardedRequest, toForwardedResponse } from '../../pkg/http1/forward-head.ts';
import type { RequestHead, ResponseHead } from '../../pkg/http1/head.ts';
import type { RefusalReason } from '../../pkg/http1/refusal.ts';
import type { Answered } from '../../pkg/http1/response-head.ts';
import { createChance, generateInput } from './http1-generate.ts';
import type { Chance } from './http1-generate.ts';
import { learnMethods, readWithNode } from './http1-oracle.ts';
import type { OracleCall, Reading } from './http1-oracle.ts';
import { readWithOurs } from './http1-reading.ts';
import type { OurCall, OurReading } from './http1-reading.ts';

const inputs = Number(process.env['FUZZ_INPUTS'] ?? 25_000);
const seed = Number(process.env['FUZZ_SEED'] ?? 1);

/** Reasons for which we refuse what Node accepts: the rules of pkg/http1/README.md. All others must agree. */
const stricter: ReadonlySet<string> = new Set<RefusalReason>([
  'blankLines',
  'bareLineEnd',
  'method',
  'target',
  'version',
  'status',
  'startLine',
  'host',
  'contentLength',
  'transferEncoding',
  'transferCoding',
  'lengthAndEncoding',
  'connection',
  'upgrade',
  'expectation',
  'chunkSize',
  'chunkExtension',
  'trailer',
  'dataAfterClose',
  'unexpectedResponse',
]);

const methods = ['GET', 'GET', 'HEAD', 'CONNECT'];

interface Case {
  readonly type: 'request' | 'response';
  readonly bytes: Buffer;
  readonly answers: (index: number) => Answered;
  readonly finish: boolean;
}

function generateCase(type: 'request' | 'response', chance: Chance): Case {
  const answered = Array.from({ length: 8 }, () => ({
    method: methods[chance.below(methods.length)]!,
    upgrade: chance.below(2) === 0,
  }));
  const answers = (index: number): Answered => answered[Math.max(0, index) % answered.length]!;
  return {
    type,
    bytes: generateInput(type, chance),
    answers,
    finish: chance.below(4) === 0,
  };
}

function ours(input: Case, more: Partial<OurCall> = {}): OurReading {
  return readWithOurs(input.bytes, {
    ...input,
    output: 'data',
    cuts: [],
    ...more,
  });
}

/** Node on the same bytes, told what ours made of each message where that isn't the parser's to know. */
function nodes(input: Case, reading: OurReading, bytes = input.bytes): Reading {
  const call: OracleCall = {
    type: input.type,
    switches: (index) => isSwitch(reading.heads[index]),
    bodiless: (index) => isBodiless(input, reading.heads, index),
    finish: input.finish,
  };
  return readWithNode(bytes, call);
}

function isSwitch(head: RequestHead | ResponseHead | undefined): boolean {
  if (head === undefined) return false;
  return 'method' in head ? head.maySwitch : head.switches;
}

function isBodiless(input: Case, heads: readonly (RequestHead | ResponseHead)[], index: number): boolean {
  if (input.type === 'request') return false;
  const before = heads.slice(0, index).filter((head) => !('interim' in head && head.interim)).length;
  return input.answers(before).method === 'HEAD';
}

/** Never laxer: what ours takes, Node takes, and reads the same in it. */
function assertNoLaxer(input: Case, mine: OurReading, node: Reading): void {
  for (const [i, message] of mine.messages.entries()) {
    const other = node.messages[i];
    assert.ok(other !== undefined, `message ${i} is none for Node (${node.reason})`);
    assert.equal(message.start, other.start);
    assert.deepEqual(message.fields, other.fields);
    if (message.complete) assert.ok(other.complete, `message ${i} isn't complete for Node (${node.reason})`);
    if (message.complete) assert.deepEqual(message.body, other.body);
    else assertPrefix(message.body, other.body);
    // Node's parser says so before it has been told that there is no body, or no HTTP, behind this head.
    const told = isSwitch(mine.heads[i]) || isBodiless(input, mine.heads, i);
    if (message.keepAlive && !told) assert.ok(other.keepAlive, `message ${i} is the last for Node`);
  }
  if (mine.end === 'switched') assert.equal(node.end, 'switched');
  if (mine.end === 'switched') assert.deepEqual(mine.rest, node.rest);
  if (mine.end === 'open' && node.end === 'refused') assertRefusedWhenComplete(input, node.reason);
  if (mine.end === 'refused' && node.end !== 'refused' && !node.forgiven) {
    assert.ok(stricter.has(mine.reason), `refused for ${mine.reason}, which is no listed rule`);
  }
}

/** What Node refuses in the middle of a head or trailer section, ours may refuse at its end. */
function assertRefusedWhenComplete(input: Case, reason: string): void {
  const bytes = Buffer.concat([input.bytes, Buffer.from('\r\n\r\n')]);
  assert.equal(ours({ ...input, bytes }).end, 'refused', reason);
}

function assertPrefix(a: Buffer, b: Buffer): void {
  const shared = Math.min(a.length, b.length);
  assert.deepEqual(a.subarray(0, shared), b.subarray(0, shared));
}

/** The same events wherever the input is cut. */
function assertSameWhenCut(input: Case, whole: OurReading, cuts: readonly number[]): void {
  const parts = ours(input, { cuts });
  assert.equal(parts.end, whole.end);
  assert.equal(parts.reason, whole.reason);
  assert.deepEqual(parts.rest, whole.rest);
  assert.equal(parts.messages.length, whole.messages.length);
  for (const [i, message] of whole.messages.entries()) {
    const part = parts.messages[i]!;
    if (message.complete) assert.deepEqual(part, message);
    else assertPrefix(part.body, message.body);
  }
}

/** What we send on is, for Node, one message: the one that we took in. */
function assertForwardsTheSame(input: Case, whole: OurReading, cuts: readonly number[]): void {
  const wire = ours(input, { output: 'wire', cuts });
  for (const [i, message] of whole.messages.entries()) {
    const head = whole.heads[i]!;
    if (!message.complete || (head.framing === 'close' && input.type === 'response')) continue;
    const sent = Buffer.concat([Buffer.from(forward(head), 'latin1'), wire.messages[i]!.body]);
    const isHead = isBodiless(input, whole.heads, i);
    const call = {
      type: input.type,
      switches: () => isSwitch(head),
      bodiless: () => isHead,
      finish: false,
    };
    const { messages, end, reason, rest } = readWithNode(sent, call);
    assert.equal(messages.length, 1, `${messages.length} messages sent on: ${reason}`);
    assert.notEqual(end, 'refused', reason);
    assert.equal(rest.length, 0);
    assert.ok(messages[0]!.complete);
    assert.deepEqual(messages[0]!.body, message.body);
    if ('method' in head) assert.ok(messages[0]!.start.startsWith(`${head.method} `));
    else assert.equal(messages[0]!.start.split(' ')[1], String(head.status));
  }
}

function forward(head: RequestHead | ResponseHead): string {
  if ('method' in head) return toForwardedRequest(head, {}, head.upgrade);
  return toForwardedResponse(head, {}, { minor: 1, framing: 'same', close: false });
}

function check(input: Case, chance: Chance): void {
  const whole = ours(input);
  assertNoLaxer(input, whole, nodes(input, whole));
  const cuts = [chance.below(input.bytes.length + 1), chance.below(input.bytes.length + 1)].sort((a, b) => a - b);
  assertSameWhenCut(input, whole, cuts);
  if (whole.messages.some((message) => message.complete)) assertForwardsTheSame(input, whole, cuts);
}

describe('http1 against the parser of node:http', function () {
  this.timeout(Math.max(60_000, inputs));

  before(() => learnMethods(METHODS));

  it('reads the same wherever input is cut, at each byte', () => {
    const chance = createChance(seed);
    for (let i = 0; i < 200; i++) {
      const input = generateCase(i % 2 === 0 ? 'request' : 'response', chance);
      const whole = ours(input);
      for (let at = 0; at <= input.bytes.length; at++) assertSameWhenCut(input, whole, [at]);
      const each = Array.from(input.bytes, (_, at) => at);
      assertSameWhenCut(input, whole, each);
      if (whole.messages.some((message) => message.complete)) assertForwardsTheSame(input, whole, each);
    }
  });

  for (const type of ['request', 'response'] as const) {
    it(`reads ${inputs} odd ${type}s no laxer, the same in pieces, and sends on what it read`, () => {
      const chance = createChance(seed);
      const verdicts = new Map<string, number>();
      for (let i = 0; i < inputs; i++) {
        const input = generateCase(type, chance);
        try {
          check(input, chance);
        } catch (error) {
          const message = `input ${i} of seed ${seed}: ${JSON.stringify(input.bytes.toString('latin1'))}`;
          throw new Error(message, { cause: error });
        }
        if (process.env['FUZZ_REPORT'] !== undefined) {
          const { end, reason, messages } = ours(input);
          const key = end === 'refused' ? reason : messages.some((m) => m.complete) ? 'accepted' : end;
          verdicts.set(key, (verdicts.get(key) ?? 0) + 1);
        }
      }
      if (verdicts.size > 0) process.stderr.write(`${JSON.stringify(Object.fromEntries(verdicts))}\n`);
    });
  }
});
