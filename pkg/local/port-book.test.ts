import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'mocha';
import { createPortBook } from './port-book.ts';
import { listenOnce } from './ports.ts';

describe('createPortBook', () => {
  it('gives a port to one pod; the other is told by whom it is held, and gets it afterwards', async () => {
    const port = await listenOnce(0);
    const book = createPortBook();
    const wanted = [{ port, movable: false }];
    const [first, second] = await Promise.all([
      book.take('shop/a-0', 'shop/Deployment/a', wanted),
      book.take('shop/b-0', 'shop/Deployment/b', wanted),
    ]);
    assert.deepEqual(first, [{ port, appPort: port }]);
    assert.ok('reason' in second);
    assert.equal(second.message, `shop/Deployment/b and shop/Deployment/a both want port ${port} of this machine`);
    book.giveBack('shop/a-0');
    assert.deepEqual(await book.take('shop/b-0', 'shop/Deployment/b', wanted), first);
  });

  it('moves what can be moved', async () => {
    const book = createPortBook();
    const wanted = [{ port: 80, movable: true }];
    const taken = [await book.take('shop/a-0', 'a', wanted), await book.take('shop/b-0', 'b', wanted)];
    const ports = taken.map((list) => ('reason' in list ? 0 : list[0]?.appPort));
    assert.equal(new Set(ports).size, 2);
    assert.ok(ports.every((port) => port !== undefined && port > 1024));
  });

  it('names a program outside of the mesh', async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) =>
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      }),
    );
    const refused = await createPortBook().take('shop/a-0', 'shop/Deployment/a', [{ port, movable: false }]);
    server.close();
    assert.ok('reason' in refused);
    assert.match(refused.message, new RegExp(`and \\S+ \\(process ${process.pid}\\) both want port ${port}`));
  });
});
