/** `npx tsx test/page/serve.ts [full|empty|quiet] [port]`: the page over a mesh that isn't there, to work on it. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPage } from '../../pkg/dashboard/build-page.mjs';
import { bookstoreState, pastTraffic, startFixture } from './fixture.ts';

const [scenario = 'full', port = '4199'] = process.argv.slice(2);
const pageDir = mkdtempSync(join(tmpdir(), 'tulle-page-'));
await buildPage(pageDir);
const fixture = await startFixture({
  pageDir,
  port: Number(port),
  ...(scenario !== 'empty' && { state: bookstoreState() }),
});
if (scenario === 'full') {
  pastTraffic(fixture, 1_500);
  setInterval(() => {
    fixture.purchase(Date.now() - 500);
    if (Math.random() < 0.4) fixture.theft(Date.now());
  }, 300);
}
process.stdout.write(`${fixture.url}\n`);
