import { Socket } from 'node:net';
import { controlDescriptor, type LauncherOptions } from '../../pkg/local/launcher-protocol.ts';
import { runLauncher } from '../../pkg/local/launcher/run-launcher.ts';

// Signals of a terminal are for the app: the launcher ends when its supervisor does.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const options = JSON.parse(process.argv[2] ?? '{"hosts":["127.0.0.1"],"forwardLogs":false}') as LauncherOptions;
await runLauncher(new Socket({ fd: controlDescriptor }), options);
process.exit(0);
