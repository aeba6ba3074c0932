import type { Express, Router } from 'express';
import express from 'express';

/** The receiver of spans alone, for a unix socket that sidecars write to: nothing can be read from it. */
export function createOtlpApp(receiver: Router): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use(receiver);
  app.use((_request, response) => {
    response.status(404).type('text/plain').send('POST OTLP traces to /v1/traces\n');
  });
  return app;
}
