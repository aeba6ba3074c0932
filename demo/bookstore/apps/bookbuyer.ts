import { shop } from './shopper.ts';
import { serve } from './web-app.ts';

const tally = { total: 0, v1: 0, v2: 0, notServed: 0 };

serve({
  title: 'bookbuyer',
  counters: () => ({
    booksBought: tally.total,
    booksBoughtV1: tally.v1,
    booksBoughtV2: tally.v2,
    notServed: tally.notServed,
  }),
  reset: () => Object.assign(tally, { total: 0, v1: 0, v2: 0, notServed: 0 }),
});
shop('bookbuyer', tally);
