/** A Web Worker that receives over the MessagePort it is given, and posts what came. */
import { type FramePort, MessagePortLink } from '../../../src/link/browser/index.ts';
import { type PeerOptions, type PeerResult, receiver } from './peer.ts';

interface Given {
  readonly port: FramePort;
  readonly largeSendBytes: number;
  readonly options: PeerOptions;
}

/** What a worker has of its global scope. */
interface WorkerScope {
  onmessage: ((event: { readonly data: Given }) => void) | null;
  postMessage(message: { readonly result: PeerResult } | { readonly error: string } | 'ready'): void;
}

const scope = globalThis as unknown as WorkerScope;
scope.onmessage = ({ data: { port, largeSendBytes, options } }): void => {
  const large = largeSendBytes > 0 ? { largeSendBytes } : {};
  receiver(
    (runtime) => new MessagePortLink({ runtime, port, ...large }),
    options,
    () => scope.postMessage('ready'),
  ).then(
    (result) => scope.postMessage({ result }),
    (error: unknown) => scope.postMessage({ error: String(error) }),
  );
};
