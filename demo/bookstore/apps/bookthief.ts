import { shop } from './shopper.ts';
import { serve } from './web-app.ts';

const tally = { total: 0, v1: 0, v2: 0, notServed: 0 };

serve({
  title: 'bookthief',
  counters: () => ({
    booksStolen: tally.total,
    booksStolenV1: tally.v1,
    booksStolenV2: tally.v2,
    notServed: tally.notServed,
  }),
  reset: () => Object.assign(tally, { total: 0, v1: 0, v2: 0, notServed: 0 }),
});
shop('bookthief', tally);
