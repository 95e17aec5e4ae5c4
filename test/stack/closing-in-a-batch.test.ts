/** A stack that is closed while a batch is still going on: what arrived in it is answered all the same. */
import { expect, test } from 'vitest';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { createStack, type Link, type LinkReceiver, memoryLinkPair, type TcpHandler } from '../../src/index.ts';
import { closeStacks } from './two-hosts.ts';

/** A link that tells of the end of a batch some time later: what the messages of a WebSocket or of datagrams come to. */
function tellsLate(link: Link, runtime: VirtualRuntime, lateUs: number): Link {
  const late: LinkReceiver[] = [];
  const timer = runtime.timer(() => {
    for (const receiver of late.splice(0)) receiver.receiveDone();
  });
  return {
    name: link.name,
    medium: link.medium,
    mtu: link.mtu,
    transmit: (bytes, at, length) => link.transmit(bytes, at, length),
    close: () => link.close(),
    start: (receiver) =>
      link.start({
        receive: (bytes, at, length) => receiver.receive(bytes, at, length),
        receiveDone: () => {
          if (late.length === 0) timer.arm(runtime.nowUs() + lateUs);
          late.splice(0, 1, receiver);
        },
        linkState: (isUp) => receiver.linkState(isUp),
        writable: () => receiver.writable(),
      }),
  };
}

test('the FIN that was the reason to close is acknowledged: the peer need not repeat it to nobody', async () => {
  const runtime = new VirtualRuntime();
  const wire = memoryLinkPair({ runtime, impairment: { delayUs: 100 } });
  const server = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
  const client = createStack({
    runtime,
    links: [{ link: tellsLate(wire.b, runtime, 5_000), addresses: ['10.0.0.2/24'] }],
  });
  const ended: string[] = [];
  const quiet: TcpHandler = { connected() {}, data: (_b, _a, n) => n, dataDone() {}, end() {}, closed() {} };
  server.transports.listen({ local: { address: '10.0.0.1', port: 9 } }, (endpoint) => {
    endpoint.handler = { ...quiet, end: () => endpoint.shutdown(), closed: (error) => ended.push(`server ${error}`) };
  });
  let isClosing = false;
  const endpoint = client.transports.connect(
    { remote: { address: '10.0.0.1', port: 9 } },
    {
      ...quiet,
      connected: () => endpoint.shutdown(),
      closed: (error) => {
        ended.push(`client ${error}`);
        isClosing = true;
      },
    },
  );
  expect(runtime.runUntil(() => isClosing, 1_000_000)).toBe(true);
  // No virtual time passes until the client is gone: its link has not told of the end of the batch with the FIN.
  for (let i = 0; i < 20; i++) {
    if (i === 0) void client.close();
    runtime.settle();
    await new Promise((resolve) => setImmediate(resolve));
  }
  runtime.advance(1_000_000);
  expect(ended).toEqual(['client null', 'server null']);
  await closeStacks(runtime, [client, server]);
});
