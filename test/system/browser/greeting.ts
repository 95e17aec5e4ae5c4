/**
 * A small program as somebody would write it for a page: the package by its name, a few words over TCP and over UDP.
 *
 * A page loads it as it is, by an import map; a bundler makes one file of it and the package.
 */
import 'chimney/contract';
import { createStack, memoryLinkPair, SystemRuntime } from 'chimney';

export interface Greeting {
  /** What came over TCP while the connection was on the target, and over UDP. */
  readonly heard: string;
  readonly datagram: string;
  readonly location: string;
  readonly findings: number;
}

/** Has one stack greet the other. */
export async function greet(text: string): Promise<Greeting> {
  const runtime = new SystemRuntime();
  const wire = memoryLinkPair({ runtime, medium: 'ip' });
  const left = createStack({ runtime, verify: true, links: [{ link: wire.a, addresses: ['fd00::1/64'] }] });
  const right = createStack({ runtime, verify: true, links: [{ link: wire.b, addresses: ['fd00::2/64'] }] });
  const idle = { connected: () => {}, dataDone: () => {}, end: () => {}, closed: () => {} };
  const hearing = new Promise<string>((resolve) => {
    left.transports.listen({ local: { address: '::', port: 7 } }, (endpoint) => {
      const decoder = new TextDecoder();
      let heard = '';
      const data = (bytes: Uint8Array, at: number, length: number): number => {
        heard += decoder.decode(bytes.subarray(at, at + length), { stream: true });
        return length;
      };
      const end = (): void => {
        endpoint.shutdown();
        resolve(heard);
      };
      endpoint.handler = { ...idle, data, end };
    });
  });
  const receiving = new Promise<string>((resolve) => {
    const message = (bytes: Uint8Array, at: number, length: number): void =>
      resolve(new TextDecoder().decode(bytes.subarray(at, at + length)));
    left.transports.bindUdp({ address: '::', port: 7 }, { message, error: () => {} });
  });

  const data = (_bytes: Uint8Array, _at: number, length: number): number => length;
  const endpoint = await new Promise<ReturnType<typeof right.transports.connect>>((resolve) => {
    const one = right.transports.connect(
      { remote: { address: 'fd00::1', port: 7 } },
      { ...idle, data, connected: () => resolve(one) },
    );
  });
  await endpoint.chimney.offload();
  const { location } = endpoint.chimney;
  endpoint.write(new TextEncoder().encode(text), null);
  endpoint.shutdown();
  const port = right.transports.bindUdp({ address: '::', port: 0 }, { message: () => {}, error: () => {} });
  port.send(new TextEncoder().encode(text), { address: 'fd00::1', port: 7 });
  const [heard, datagram] = await Promise.all([hearing, receiving]);
  await Promise.all([left.close(), right.close()]);
  runtime.close();
  return { heard, datagram, location, findings: left.findings.length + right.findings.length };
}
