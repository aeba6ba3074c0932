import { answer } from '../answer.ts';
import type { Held, HoldTarget, RateResult, RateTarget } from './client.ts';
import { type Link, openLink } from './link.ts';

/** Streams that a connection of HTTP/2 may have open at once. */
const streamsEach = 16;
/** Milliseconds for what is still under way when the time is over. */
const grace = 5_000;

/** Asks at a fixed rate, open loop: a slow answer delays no later question. */
async function rate({ protocol, port, perSecond, connections, seconds }: RateTarget): Promise<RateResult> {
  const isHttp2 = protocol === 'http2' || protocol === 'grpc';
  const links = await Promise.all(Array.from({ length: connections }, () => openLink(protocol, port)));
  // The first ones of each connection open those behind it.
  await Promise.all(links.map((link) => new Promise((resolve) => link.request(resolve))));
  const free: Link[] = isHttp2 ? links.flatMap((link) => Array.from({ length: streamsEach }, () => link)) : [...links];
  const waiting: number[] = [];
  const times: number[] = [];
  const total = Math.round(perSecond * seconds);
  let [sent, failed] = [0, 0];
  const fire = (link: Link, due: number): void => {
    link.request((good) => {
      if (good) times.push(performance.now() - due);
      else failed += 1;
      const next = waiting.shift();
      if (next === undefined) free.unshift(link);
      else fire(link, next);
    });
  };
  const start = performance.now();
  const end = start + seconds * 1000 + grace;
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      const now = performance.now();
      for (const due = Math.min(total, ((now - start) / 1000) * perSecond); sent < due; sent++) {
        const link = free.pop();
        if (link) fire(link, now);
        else waiting.push(now);
      }
      if (times.length + failed >= total || now > end) resolve();
      else setTimeout(tick, 1);
    };
    tick();
  });
  for (const link of links) link.close();
  return { requests: total, failed: total - times.length, times: [...times] };
}

let held: Link[] = [];

/** A connection through TCP is one to the app at once; so many are opened at a time. */
const burst = 200;

/** Opens connections, asks once on each, and keeps them. HTTP: all at the same time, so that all hops need as many. */
async function hold({ protocol, port, connections }: HoldTarget): Promise<Held> {
  const ask = (link: Link): Promise<boolean> => new Promise((resolve) => link.request(resolve));
  const open = async (count: number): Promise<Link[]> => {
    const opened = await Promise.allSettled(Array.from({ length: count }, () => openLink(protocol, port)));
    return opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  };
  const size = protocol === 'tcp' ? burst : connections;
  let good = 0;
  for (let done = 0; done < connections; done += size) {
    const links = await open(Math.min(size, connections - done));
    held.push(...links);
    good += (await Promise.all(links.map(ask))).filter(Boolean).length;
  }
  return { open: held.length, failed: connections - good };
}

function release(): void {
  for (const link of held) link.close();
  held = [];
}

answer({ rate, hold, release });
