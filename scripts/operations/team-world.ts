/** A server with a team of two links at a switch, and a client: the world in which a failover is played. */
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { TcpEndpoint, TcpHandler } from '../../src/host/api.ts';
import { memorySwitch } from '../../src/link/memory-switch.ts';
import { createStack } from '../../src/stack.ts';
import { Recorder } from './recorder.ts';

const silent: TcpHandler = { connected() {}, data: (_b, _a, length) => length, dataDone() {}, end() {}, closed() {} };
const ignore = (): void => {};

/** The link in use is cut; drawn is what passes between host, team and the targets of both links. */
export function drawFailover(): string[] {
  const runtime = new VirtualRuntime(1);
  const recorder = new Recorder();
  const wire = { runtime, impairment: { delayUs: 1000 } };
  const [first, second, third] = memorySwitch({ ...wire, ports: ['eth0', 'eth1', 'peer'] });
  const addresses = ['10.0.0.1/24'];
  const team = { members: [{ link: first! }, { link: second! }] };
  const stack = createStack({ runtime, offloadsAgain: true, links: [{ name: 'team', addresses, team }] });
  const client = createStack({ runtime, links: [{ link: third!, addresses: ['10.0.0.2/24'] }] });
  stack.ndis.attachTap('team', recorder.junction('H', 'D'));
  stack.ndis.attachTap('eth0', recorder.junction('D', 'A'));
  stack.ndis.attachTap('eth1', recorder.junction('D', 'B'));
  let server: TcpEndpoint | null = null;
  stack.transports.listen({ local: { address: '10.0.0.1', port: 80 } }, (endpoint) => {
    server = endpoint;
    endpoint.handler = silent;
  });
  client.transports.connect({ remote: { address: '10.0.0.1', port: 80 } }, silent);
  runtime.advance(300_000);
  server!.chimney.offload().catch(ignore);
  runtime.advance(300_000);
  return recorder.record(() => {
    first!.setUp(false);
    runtime.advance(300_000);
  });
}
