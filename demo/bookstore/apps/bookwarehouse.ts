import { connectDatabase } from './database-client.ts';
import { say } from './settings.ts';
import { answer, serve } from './web-app.ts';

const database = connectDatabase();
let restocked = 0;

serve({
  title: 'bookwarehouse',
  counters: () => ({ booksRestocked: restocked }),
  reset: () => (restocked = 0),
  routes: {
    'POST /restock-books': async (_, response) => {
      try {
        restocked = await database.insert(1);
        answer(response, 200, `${JSON.stringify({ restocked })}\n`, 'application/json');
      } catch (error) {
        say(`bookwarehouse: not stored: ${(error as Error).message}`);
        answer(response, 503, 'the database does not answer\n');
      }
    },
  },
});
