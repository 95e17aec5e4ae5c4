/** Two host stacks on a wire in memory, in real time, with a plain NIC each; or one stack talking to itself. */

import { HostStack } from '../../src/host/host-stack.ts';
import { type Impairment, memoryLinkPair } from '../../src/link/memory.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import { SystemRuntime } from '../../src/runtime.ts';
import { createNet, type StackNet } from '../../src/socket/net.ts';
import { PlainAdapter } from '../../src/target/plain/plain-adapter.ts';
import { Trace } from '../../src/trace/trace.ts';

/** One end: a stack, and node:net on it. */
export interface StackEnd {
  readonly host: HostStack;
  readonly net: StackNet;
  readonly ndis: NdisLibrary;
  readonly trace: Trace;
}

export interface TwoStacks {
  readonly runtime: SystemRuntime;
  readonly client: StackEnd;
  readonly server: StackEnd;
  readonly clientAddress: string;
  readonly serverAddress: string;
  close(): Promise<void>;
}

function stackOn(runtime: SystemRuntime, name: string): { ndis: NdisLibrary; trace: Trace; host: HostStack } {
  const trace = new Trace();
  const ndis = new NdisLibrary(runtime, trace);
  return { ndis, trace, host: new HostStack(runtime, trace, ndis, { name }) };
}

/** Two stacks, 10.0.0.1 and 10.0.0.2. */
export function twoStacks(impairment: Impairment = {}, mtu = 1500): TwoStacks {
  const runtime = new SystemRuntime();
  const links = memoryLinkPair({ runtime, impairment, mtu, medium: 'ethernet', names: ['left', 'right'] });
  const end = (name: string, link: (typeof links)['a'], address: string): StackEnd => {
    const { ndis, trace, host } = stackOn(runtime, name);
    const adapter = ndis.registerAdapter(new PlainAdapter({ link, runtime, trace }));
    host.attachInterface(adapter, { addresses: [`${address}/24`] });
    return { host, ndis, trace, net: createNet(host, { keepAlive: runtime }) };
  };
  const client = end('client', links.a, '10.0.0.1');
  const server = end('server', links.b, '10.0.0.2');
  return {
    runtime,
    client,
    server,
    clientAddress: '10.0.0.1',
    serverAddress: '10.0.0.2',
    close: async () => {
      await Promise.all([client.host.close(), server.host.close()]);
      runtime.close();
    },
  };
}

/** One stack, on its own loopback. */
export function oneStack(): { runtime: SystemRuntime; end: StackEnd; close(): Promise<void> } {
  const runtime = new SystemRuntime();
  const { ndis, trace, host } = stackOn(runtime, 'alone');
  const end = { host, ndis, trace, net: createNet(host, { keepAlive: runtime }) };
  return {
    runtime,
    end,
    close: async () => {
      await host.close();
      runtime.close();
    },
  };
}
