// A gRPC server and its client, `Echo`, with bytes for messages: `grpc.mjs serve` and `grpc.mjs call HOST:PORT`.
import grpc from '@grpc/grpc-js';

const pass = (value) => value;
const method = {
  path: '/test.Echo/Say',
  requestStream: false,
  responseStream: false,
  requestSerialize: pass,
  requestDeserialize: pass,
  responseSerialize: pass,
  responseDeserialize: pass,
};
const [how, target] = process.argv.slice(2);
if (how === 'serve') {
  const server = new grpc.Server();
  server.addService({ say: method }, { say: (call, done) => done(null, Buffer.from(`heard ${call.request}`)) });
  server.bindAsync(`0.0.0.0:${process.env.PORT ?? 50051}`, grpc.ServerCredentials.createInsecure(), () => undefined);
  process.once('SIGTERM', () => process.exit(0));
} else {
  const Client = grpc.makeGenericClientConstructor({ say: method }, 'Echo');
  const client = new Client(target, grpc.credentials.createInsecure());
  client.say(Buffer.from('hello'), { deadline: Date.now() + 5_000 }, (error, answer) => {
    process.stdout.write(error ? `${error.code} ${error.details}\n` : `${answer}\n`);
    process.exit(error ? 3 : 0);
  });
}
