import { describe, expect, test } from 'vitest';
import { addressText, OperationTrace } from '../../src/ndis/operation-trace.ts';
import { NdisStatus, TcpDisconnectFlag, TcpOffloadEventType, TcpUploadReason } from '../../src/ndis/status.ts';
import { IdleTap } from '../../src/ndis/tap.ts';
import type { PacketTap } from '../../src/trace/trace.ts';
import { bindHost, connectionTree, data, FakeHost, FakeTarget, makeWorld, terminateTree } from './fakes.ts';

/** A tap that writes down the names of the methods called. */
function recorder(): { tap: IdleTap; calls: string[] } {
  const calls: string[] = [];
  const tap = new Proxy(new IdleTap(), {
    get: (idle, name) => (name in idle ? () => void calls.push(String(name)) : undefined),
  });
  return { tap, calls };
}

function scene() {
  const world = makeWorld();
  const target = new FakeTarget(world);
  const host = new FakeHost();
  world.ndis.registerAdapter(target);
  return { world, target, host };
}

describe('taps', () => {
  test('see every call, completion and indication of a binding, before and after', () => {
    const { world, target, host } = scene();
    const { tap, calls } = recorder();
    world.ndis.attachTap('nic0', tap);
    const binding = bindHost(world, host, 'nic0');
    const { root, handles } = connectionTree();
    world.ndis.initiateOffload(binding, root);
    world.runtime.settle();
    world.ndis.offloadTcpSend(handles.tcp, data(5));
    target.completeSend(target.objects[2]!.sends.pop()!, NdisStatus.SUCCESS, 5);
    target.indicate(target.objects[2]!, data(7));
    world.ndis.offloadTcpReceiveReturn(binding, host.indicated[0]!);
    target.events.tcpOffloadEventHandler(handles.tcp, TcpOffloadEventType.INDICATE_ABORT, 0);
    target.ndisM.indicateStatusEx(target.handle, { statusCode: NdisStatus.UPLOAD_ALL });
    target.ndisM.indicateReceiveNetBufferLists(target.handle, data(60), 0, 1);
    world.ndis.closeAdapterEx(binding, () => {});
    world.runtime.settle();
    expect(calls).toEqual([
      ...['opened', 'oidRequest', 'oidRequestDone', 'oidRequest', 'oidRequestDone'],
      ...['stateCall', 'stateCallDone', 'stateComplete', 'stateCompleteDone'],
      ...['dataCall', 'dataCallDone', 'dataComplete', 'dataCompleteDone'],
      ...['receiveIndicate', 'receiveIndicateDone', 'receiveReturn', 'receiveReturnDone'],
      ...['tcpEvent', 'tcpEventDone', 'status', 'statusDone', 'receiveFrames', 'closing', 'closed'],
    ]);
  });

  test('several sit on one binding, each may be taken away, and one that comes late learns who is there', () => {
    const { world, host } = scene();
    const taps = [recorder(), recorder(), recorder()];
    const detach = taps.slice(0, 2).map(({ tap }) => world.ndis.attachTap('nic0', tap));
    const binding = bindHost(world, host, 'nic0');
    detach.push(world.ndis.attachTap('nic0', taps[2]!.tap));
    const sendOne = (): void => world.ndis.sendNetBufferLists(binding, data(60), 0);
    sendOne();
    detach[0]!();
    sendOne();
    detach[2]!();
    sendOne();
    detach[1]!();
    sendOne();
    const sends = taps.map(({ calls }) => calls.filter((name) => name === 'sendFrames').length);
    expect(sends).toEqual([1, 3, 2]);
    expect(taps[2]!.calls[0]).toBe('opened');
    expect(() => world.ndis.attachTap('nic7', taps[0]!.tap)).toThrow('no adapter');
  });
});

describe('the operation trace', () => {
  function traced(withData: boolean): string[] {
    const { world, target, host } = scene();
    const lines: string[] = [];
    const out: PacketTap = { packet: () => {}, operation: (text) => void lines.push(text) };
    world.ndis.attachTap('nic0', new OperationTrace(out, () => world.runtime.nowUs(), { data: withData }));
    const binding = bindHost(world, host, 'nic0');
    const { root, handles } = connectionTree();
    world.ndis.initiateOffload(binding, root);
    world.runtime.settle();
    world.ndis.offloadTcpSend(handles.tcp, data(5));
    target.completeSend(target.objects[2]!.sends.pop()!, NdisStatus.SUCCESS, 5);
    target.indicate(target.objects[2]!, data(7));
    world.ndis.offloadTcpReceiveReturn(binding, host.indicated[0]!);
    world.ndis.offloadTcpDisconnect(handles.tcp, data(0), TcpDisconnectFlag.GRACEFUL_CLOSE);
    const reason = TcpUploadReason.LOW_ACTIVITY;
    target.events.tcpOffloadEventHandler(handles.tcp, TcpOffloadEventType.INDICATE_RETRIEVE, reason);
    target.ndisM.indicateStatusEx(target.handle, { statusCode: NdisStatus.OFFLOAD_PAUSE });
    target.ndisM.offloadEventIndicate(target.handle, null, 2);
    world.ndis.terminateOffload(binding, terminateTree(handles).root);
    world.runtime.settle();
    return lines;
  }

  test('tells operations with their trees, names and statuses', () => {
    const who = 'neighbor 1 path 1 tcp 1 (10.0.0.1:80-10.0.0.2:4711)';
    expect(traced(false)).toEqual([
      `NdisInitiateOffload ${who}`,
      `NdisMInitiateOffloadComplete ${who}: SUCCESS 3`,
      'NdisTcpOffloadEventHandler 10.0.0.1:80-10.0.0.2:4711: INDICATE_RETRIEVE LOW_ACTIVITY',
      'NdisMIndicateStatusEx OFFLOAD_PAUSE',
      'NdisMOffloadEventIndicate NEIGHBOR_REACHABILITY_IN_DOUBT',
      `NdisTerminateOffload ${who}`,
      `NdisMTerminateOffloadComplete ${who}: SUCCESS 3`,
    ]);
  });

  test('tells data calls with their bytes when asked to', () => {
    expect(traced(true).slice(2, 7)).toEqual([
      'NdisOffloadTcpSend 10.0.0.1:80-10.0.0.2:4711, 5 bytes',
      'NdisTcpOffloadSendComplete 1 list(s), 5 bytes: SUCCESS',
      'NdisTcpOffloadReceiveHandler 10.0.0.1:80-10.0.0.2:4711: SUCCESS, 7 bytes consumed',
      'NdisOffloadTcpReceiveReturn 1 list(s)',
      'NdisOffloadTcpDisconnect 10.0.0.1:80-10.0.0.2:4711 graceful, 0 bytes',
    ]);
  });

  test('writes IPv6 addresses in brackets', () => {
    const bytes = new Uint8Array(16);
    bytes.set([0x20, 1, 0xd, 0xb8]);
    bytes[15] = 1;
    expect(addressText(bytes)).toBe('[2001:db8:0:0:0:0:0:1]');
  });
});
