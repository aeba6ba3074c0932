import type { IncomingMessage, ServerResponse } from 'node:http';
import { send } from './http-client.ts';
import { say, setting } from './settings.ts';
import { traceHeaders } from './trace-headers.ts';
import { answer, serve } from './web-app.ts';

const identity = setting('IDENTITY', 'bookstore');
const warehouse = `${setting('WAREHOUSE_SVC', 'bookwarehouse')}.${setting('BOOKWAREHOUSE_NAMESPACE', 'bookwarehouse')}`;
const restockUrl = new URL(`http://${warehouse}:${setting('WAREHOUSE_PORT', '14001')}/restock-books`);
let booksSold = 0;

serve({
  title: identity,
  counters: () => ({ booksSold }),
  reset: () => (booksSold = 0),
  routes: {
    'GET /books-bought': (_, response) => tell(response),
    'GET /buy-a-book/new': sell,
  },
});

/** Sells one book and orders the next before it answers, so that a purchase is one call after the other. */
async function sell(request: IncomingMessage, response: ServerResponse): Promise<void> {
  booksSold += 1;
  const headers = { ...traceHeaders(request.headers), 'content-type': 'text/plain' };
  const { status, body } = await send('POST', restockUrl, headers, '1');
  if (status !== 200) say(`${identity}: not restocked: ${status} ${body.split('\n')[0]}`);
  tell(response);
}

function tell(response: ServerResponse): void {
  response.setHeader('Identity', identity);
  response.setHeader('Booksbought', String(booksSold));
  answer(response, 200, `${JSON.stringify({ identity, booksSold })}\n`, 'application/json');
}
