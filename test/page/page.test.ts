import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { buildPage } from '../../pkg/dashboard/build-page.mjs';
import type { TraceList } from '../../pkg/dashboard/trace-list.ts';
import type { Fixture } from './fixture.ts';
import { bookstoreState, pastTraffic, startFixture } from './fixture.ts';

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

describe('the page in a browser', function () {
  this.timeout(60_000);
  // A browser on a busy machine stalls for seconds at times; what is wrong with the page is wrong twice.
  this.retries(1);
  let browser: Browser;
  let pageDir: string;
  let empty: Fixture;
  let full: Fixture;

  before(async function () {
    if (!existsSync(executablePath)) {
      // eslint-disable-next-line no-console -- a skip says why
      console.log(`skipped, no browser at ${executablePath} (CHROMIUM names another)`);
      return this.skip();
    }
    pageDir = mkdtempSync(join(tmpdir(), 'tulle-page-'));
    await buildPage(pageDir);
    browser = await chromium.launch({ executablePath, args });
    empty = await startFixture({ pageDir });
    full = await startFixture({ pageDir, state: bookstoreState() });
    pastTraffic(full, 300);
  });

  after(async () => {
    await browser?.close();
    await empty?.close();
    await full?.close();
    if (pageDir !== undefined) rmSync(pageDir, { recursive: true });
  });

  /** Opens the page, runs the check, and fails on anything that the browser complains of. */
  async function open(
    url: string,
    options: BrowserContextOptions,
    check: (page: Page) => Promise<void>,
  ): Promise<void> {
    const context = await browser.newContext(options);
    const complaints: string[] = [];
    try {
      const page = await context.newPage();
      page.setDefaultTimeout(8_000);
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(error.message));
      await page.goto(url);
      await page.locator('.card').first().waitFor();
      await check(page);
    } finally {
      await context.close();
    }
    assert.deepEqual(complaints, []);
  }

  it('is smaller than 120 KB', () => {
    const sizes = readdirSync(pageDir).map((file) => gzipSync(readFileSync(join(pageDir, file))).byteLength);
    assert.ok(sizes.reduce((sum, size) => sum + size, 0) < 120 * 1024, sizes.join());
  });

  it('shows who calls whom, and says why when a number is chosen', async () => {
    await open(full.url, {}, async (page) => {
      await page.locator('.node', { hasText: 'bookstore-v1' }).waitFor();
      const denied = page.getByRole('button', {
        name: /bookthief to bookstore: 100 requests, denied/,
      });
      await denied.focus();
      await page.keyboard.press('Enter');
      const panel = page.getByLabel('Why', { exact: true });
      await panel.getByText('none names bookthief/bookthief as a source').waitFor();
      await panel
        .getByText('tulle explain bookthief/bookthief bookstore.bookstore:14001 GET /buy-a-book/new')
        .waitFor();
      await panel.getByText(/^tulle suggest --trace [0-9a-f]{32}$/).waitFor();
      await page.keyboard.press('Escape');
      await panel.waitFor({ state: 'detached' });
    });
  });

  it('shows each split as wanted and as observed', async () => {
    await open(full.url, {}, async (page) => {
      const splits = page.getByLabel('Splits, wanted and observed');
      await splits.getByText(/want 10 %, saw [\d.]+ % ± [\d.]+ of 300/).waitFor();
      await splits.locator('.badge.ok', { hasText: 'as wanted' }).waitFor();
    });
  });

  it('names each problem with its place and its fix', async () => {
    await open(full.url, {}, async (page) => {
      const problems = page.getByLabel('Problems', { exact: true });
      await problems.getByText('demo/bookstore/mesh/access.yaml:24:17').waitFor();
      await problems.getByText('name one of its matches').waitFor();
    });
  });

  it('follows changes without being asked', async () => {
    await open(empty.url, {}, async (page) => {
      await page.getByText('No workloads yet').waitFor();
      await page.getByText('live', { exact: true }).waitFor();
      empty.set(bookstoreState());
      await page.getByText('No request in the last 15 minutes').waitFor();
      await page.getByText(/tulle run --as bookbuyer\/bookbuyer -- curl/).waitFor();
      empty.theft(Date.now());
      await page
        .getByRole('button', {
          name: /bookthief to bookstore: 1 requests, denied/,
        })
        .waitFor();
      await page.locator('.trace-row').first().waitFor();
    });
  });

  it('tells of a lost controller, and finds it again', async () => {
    const other = await startFixture({ pageDir, state: bookstoreState() });
    await open(other.url, {}, async (page) => {
      await page.getByText('live', { exact: true }).waitFor();
      const port = Number(new URL(other.url).port);
      await other.close();
      await page.getByText('The control plane does not answer').waitFor();
      const again = await startFixture({
        pageDir,
        state: bookstoreState(),
        port,
      });
      await page.getByText('live', { exact: true }).waitFor();
      await again.close();
      page.removeAllListeners('console');
    }).catch((error: Error) => {
      // The browser itself writes of refused connections.
      if (!/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED/.test(error.message)) throw error;
    });
  });

  it('shows a trace as a waterfall, reached and read by keyboard', async () => {
    await open(full.url, {}, async (page) => {
      await page.getByRole('radio', { name: /^All/ }).focus();
      await page.getByRole('radio', { name: 'Newest first' }).check({ force: true });
      const row = page
        .locator('.trace-row', {
          hasText: 'bookbuyer → bookstore-v1 → bookwarehouse',
        })
        .first();
      await row.focus();
      await page.keyboard.press('Enter');
      await page.locator('.span-row').nth(3).waitFor();
      await page.locator('.span-row').nth(1).focus();
      await page.keyboard.press('Enter');
      await page.getByText('bookstore/bookbuyer-to-bookstore-v1').waitFor();
      assert.equal(await page.locator('.span-row').nth(1).getAttribute('aria-expanded'), 'true');
      await page.goBack();
      await page.getByLabel('Search traces').waitFor();
    });
  });

  it('marks a trace that fell apart, and says who dropped the headers', async () => {
    const answer = await fetch(`${full.url}/api/summaries?filter=broken`);
    const { traces } = (await answer.json()) as TraceList;
    assert.ok(traces[0]);
    await open(`${full.url}/#/trace/${traces[0].traceId}`, {}, async (page) => {
      await page.getByText('bookstore-v2 dropped the trace headers.').waitFor();
      await page.getByRole('link', { name: 'the other half' }).click();
      await page.getByText(/began (a trace of its own|this one anew)/).waitFor();
    });
  });

  it('searches and filters traces', async () => {
    await open(full.url, {}, async (page) => {
      await page.getByLabel('Search traces').fill('bookthief');
      await page.getByText('likely').first().waitFor({ state: 'detached' });
      await page.locator('.trace-row', { hasText: 'bookthief' }).first().waitFor();
      await page.locator('.trace-row', { hasText: 'bookbuyer' }).waitFor({ state: 'detached' });
      await page.getByLabel('Search traces').fill('no such thing');
      await page.getByText('No trace like this').waitFor();
    });
  });

  it('says when a trace is not kept any more', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${full.url}/#/trace/00000000000000000000000000000001`);
    await page.getByText('This trace is not kept any more').waitFor();
    await context.close();
  });

  for (const width of [320, 400, 760, 1280]) {
    it(`has no horizontal scroll at ${width} px`, async () => {
      for (const path of ['', '#/trace/']) {
        const answer = await fetch(`${full.url}/api/summaries?filter=broken`);
        const { traces } = (await answer.json()) as TraceList;
        const id = path === '' ? '' : (traces[0]?.traceId ?? '');
        await open(`${full.url}/${path}${id}`, { viewport: { width, height: 800 } }, async (page) => {
          await page.locator('.node, .span-row').first().waitFor();
          if (id !== '') await page.locator('.span-row').first().click();
          assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
        });
      }
    });
  }

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`can be read in the ${colorScheme} theme: text has a contrast of 4.5 or more`, async () => {
      await open(full.url, { colorScheme, reducedMotion: 'reduce' }, async (page) => {
        await page.locator('.edge-label').first().waitFor();
        await page.locator('.trace-row').first().waitFor();
        const poor = await page.evaluate<string[]>(contrastScript);
        assert.deepEqual(poor, []);
      });
    });
  }

  it('remembers the theme that was chosen', async () => {
    await open(full.url, { colorScheme: 'light' }, async (page) => {
      const button = page.getByRole('button', { name: /^Theme/ });
      await button.click();
      await button.click();
      await page.reload();
      await page.getByRole('button', { name: 'Theme: dark. Change' }).waitFor();
      assert.equal(await page.evaluate('document.documentElement.dataset.theme'), 'dark');
    });
  });

  it('stands still for those who want no motion', async () => {
    await open(full.url, { reducedMotion: 'reduce' }, async (page) => {
      await page.locator('.edge').first().waitFor();
      assert.equal(await page.evaluate('document.getAnimations().length'), 0);
    });
  });

  it('names every control', async () => {
    await open(full.url, {}, async (page) => {
      await page.locator('.trace-row').first().waitFor();
      const nameless = await page.evaluate<string[]>(`[...document.querySelectorAll('button, a, input, [role=button]')]
        .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label')?.textContent.trim()))
        .map((e) => e.outerHTML)`);
      assert.deepEqual(nameless, []);
    });
  });
});

/** Runs in the page: every text that is seen against what stands behind it (WCAG 2.2, 1.4.3). */
const contrastScript = `(() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    return { r, g, b, a };
  };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.a === 1) return color;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const poor = new Set();
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility?.() || element.closest('[aria-hidden=true], noscript, title')) continue;
    const style = getComputedStyle(element);
    const isSvg = element instanceof SVGElement;
    const box = isSvg ? element.parentElement?.querySelector('rect') : undefined;
    const front = light(parse(isSvg ? style.fill : style.color));
    const back = light(box ? parse(getComputedStyle(box).fill) : behind(element));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) poor.add(element.className.baseVal ?? element.className + ' ' + ratio.toFixed(2) + ' ' + element.textContent.slice(0, 30));
  }
  return [...poor];
})()`;
