/** What the interop app uses of jaeger-client, which ships no types of its own. */
declare module 'jaeger-client' {
  interface SpanContext {
    readonly traceIdStr: string;
    readonly spanIdStr: string;
    readonly parentIdStr: string | null;
  }
  interface Span {
    context(): SpanContext;
    setTag(key: string, value: unknown): this;
    finish(): void;
  }
  interface Codec {
    readonly codec?: never;
  }
  interface Tracer {
    extract(format: string, carrier: object): SpanContext | null;
    inject(context: SpanContext, format: string, carrier: object): void;
    startSpan(name: string, options: { childOf?: SpanContext | null; tags?: object }): Span;
    registerInjector(format: string, codec: Codec): void;
    registerExtractor(format: string, codec: Codec): void;
    close(done: () => void): void;
  }
  const jaeger: {
    initTracer(config: object, options: object): Tracer;
    readonly ZipkinB3TextMapCodec: new (options: { urlEncoding: boolean }) => Codec;
  };
  // eslint-disable-next-line no-restricted-syntax -- what a CommonJS package is to an import
  export default jaeger;
  export type { Span, SpanContext, Tracer };
}
