import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type Duplex, PassThrough } from 'node:stream';
import { forwardPage } from './forward-page.ts';

describe('the page of a control plane, forwarded', () => {
  let end: AbortController;
  /** What waits for a connection through the API server. */
  let waiting: ((stream: Duplex) => void)[];
  let asked: () => void;
  let url: URL;

  beforeEach(async () => {
    end = new AbortController();
    waiting = [];
    asked = () => undefined;
    const api = {
      connect: () =>
        new Promise<Duplex>((resolve) => {
          waiting.push(resolve);
          asked();
        }),
    };
    url = new URL(await forwardPage(api, undefined, end.signal));
  });
  afterEach(() => end.abort());

  /** A browser that connects, until that is being handed on. */
  async function open(): Promise<ReturnType<typeof connect>> {
    const arrived = new Promise<void>((resolve) => (asked = resolve));
    const socket = connect(Number(url.port), url.hostname).on('error', () => undefined);
    await arrived;
    return socket;
  }

  it('carries bytes both ways', async () => {
    const browser = await open();
    waiting[0]?.(new PassThrough());
    browser.write('echo');
    assert.equal(String(((await once(browser, 'data')) as [Buffer])[0]), 'echo');
  });

  it('leaves no connection behind when its end comes while it connects', async () => {
    const browser = await open();
    end.abort();
    await once(browser, 'close');
    const stream = new PassThrough();
    waiting[0]?.(stream);
    await once(stream, 'close');
  });

  it('leaves no connection behind when the browser resets while it connects', async () => {
    const browser = await open();
    browser.resetAndDestroy();
    // By the time that the next one has come and gone, the reset has been seen.
    (await open()).destroy();
    await open();
    const stream = new PassThrough();
    waiting[0]?.(stream);
    await once(stream, 'close');
  });

  it('does not begin when its end has come', async () => {
    end.abort();
    const { port } = new URL(await forwardPage({ connect: () => assert.fail() }, undefined, end.signal));
    const [error] = (await once(connect(Number(port), '127.0.0.1'), 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
  });
});
