import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Logger } from '../observability/logger.ts';
import type { Authenticate, ClientName } from './ads-server.ts';
import type { AdsProtocol } from './ads-stream.ts';
import type { FlushBudget } from './flush-budget.ts';
import type { RefusalLog } from './refusal-log.ts';
import type { ResponseEncoder } from './response-encoder.ts';
import type { ResourceSource } from './resources.ts';
import type { AdsServerLimits } from './server-limits.ts';
import type { StreamMetrics } from './stream-metrics.ts';

export interface ConnectionOptions {
  readonly call: ServerDuplexStream<Buffer, Buffer>;
  readonly protocol: AdsProtocol;
  readonly source: ResourceSource;
  readonly encoder: ResponseEncoder;
  readonly limits: AdsServerLimits;
  readonly metrics: StreamMetrics;
  readonly log: Logger;
  readonly refusals: RefusalLog;
  /** False: enough was told of those that connect. */
  readonly mayTell: () => boolean;
  readonly now: () => number;
  readonly budget: FlushBudget;
  /** Ends the connection below: what it was written and does not read is held until then. */
  readonly cut: () => void;
  readonly authenticate: Authenticate;
  /** The token alone says who it is: nothing is read of a stream before that is known. */
  readonly byTokenAlone: boolean;
  /** False: there are too many streams of this client. Counts the stream until `discount`. */
  readonly admit: (client: ClientName) => boolean;
  readonly discount: (client: ClientName) => void;
  /** So many bytes more, or less, are held of names that this client has said. False: it is too much, of all its streams. */
  readonly hold: (client: ClientName, bytes: number) => boolean;
  readonly onStatus: () => void;
  readonly onClose: () => void;
}
