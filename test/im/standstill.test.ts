/** A connection that a filter has asked back: what is posted to it then, and when that comes back. */
import { expect, test } from 'vitest';
import { Filter } from '../../src/im/filter.ts';
import { NdisOffloadHandle } from '../../src/ndis/offload-block.ts';
import { type NdisBindingHandle, NdisStatus, OffloadStateType, TcpDisconnectFlag } from '../../src/ndis/protocol.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';
import { PathConstState } from '../../src/state/path.ts';
import { ip } from '../host-path/station.ts';
import {
  bindHost,
  data,
  FakeHost,
  FakeTarget,
  hang,
  makeWorld,
  neighborBlock,
  pathBlock,
  reference,
  tcpBlock,
  type World,
} from '../ndis/fakes.ts';

/** Writes down what comes back, in order. */
class Noting extends FakeHost {
  readonly log: string[] = [];

  override tcpOffloadSendComplete(context: unknown, lists: NetBufferList): void {
    this.log.push(`send ${nameOf(lists.status)}:${lists.tcpOffloadBytesTransferred}`);
    super.tcpOffloadSendComplete(context, lists);
  }
  override tcpOffloadReceiveComplete(context: unknown, lists: NetBufferList): void {
    this.log.push(`receive ${nameOf(lists.status)}:${lists.tcpOffloadBytesTransferred}`);
    super.tcpOffloadReceiveComplete(context, lists);
  }
  override tcpOffloadDisconnectComplete(context: unknown, list: NetBufferList): void {
    this.log.push(`disconnect ${nameOf(list.status)}`);
    super.tcpOffloadDisconnectComplete(context, list);
  }
  override terminateOffloadComplete(context: unknown, root: unknown): void {
    this.log.push('terminate complete');
    super.terminateOffloadComplete(context, root);
  }
}

function nameOf(status: number): string {
  return Object.entries(NdisStatus).find(([, value]) => value === status)![0];
}

interface Scene {
  readonly world: World;
  readonly host: Noting;
  readonly target: FakeTarget;
  readonly binding: NdisBindingHandle;
  readonly tcp: NdisOffloadHandle;
}

/** A connection offloaded past a filter that has asked it back. */
function askedBack(): Scene {
  const world = makeWorld();
  const host = new Noting();
  const target = new FakeTarget(world);
  world.ndis.registerAdapter(target);
  const filter = new Filter(world, 'nic0', { name: 'filter' });
  world.ndis.registerAdapter(filter);
  const binding = bindHost(world, host, 'filter');
  const tcp = new NdisOffloadHandle('T');
  const path = pathBlock(new NdisOffloadHandle('P'));
  path.constState = new PathConstState(ip('10.0.0.1').bytes, ip('10.0.0.2').bytes);
  world.ndis.initiateOffload(binding, hang(neighborBlock(new NdisOffloadHandle('N')), hang(path, tcpBlock(tcp, 80))));
  world.runtime.settle();
  filter.setRules([{ match: 'tcp port 80', action: 'upload' }]);
  world.runtime.settle();
  expect(host.events).toHaveLength(1);
  return { world, host, target, binding, tcp };
}

test('sends come back UPLOAD_IN_PROGRESS, untouched, and never go down (TERM-057, TERM-058)', () => {
  const { world, host, target, tcp } = askedBack();
  world.ndis.offloadTcpSend(tcp, data(5));
  expect(host.log).toEqual([]); // not from inside the call
  world.runtime.settle();
  expect(host.log).toEqual(['send UPLOAD_IN_PROGRESS:0']);
  expect(target.objects[2]!.sends).toEqual([]);
});

test('receives come back before the terminate does, and not sooner (TERM-032, TERM-060)', () => {
  const { world, host, target, binding, tcp } = askedBack();
  world.ndis.offloadTcpReceive(tcp, data(7));
  world.runtime.settle();
  expect([host.log, target.objects[2]!.receives]).toEqual([[], []]);
  world.ndis.terminateOffload(binding, reference(tcp, OffloadStateType.TCP_DELEGATED));
  world.runtime.settle();
  expect(host.log).toEqual(['receive UPLOAD_IN_PROGRESS:0', 'terminate complete']);
  expect(host.completed.at(-1)!.operation).toBe(StateOperation.TERMINATE);
});

test('sends come back before an abortive disconnect that followed them, however fast the target is (DISC-008)', () => {
  const { world, host, target, tcp } = askedBack();
  world.ndis.offloadTcpSend(tcp, data(5));
  const abort = data(0);
  world.ndis.offloadTcpDisconnect(tcp, abort, TcpDisconnectFlag.ABORTIVE_CLOSE);
  expect(target.objects[2]!.disconnects).toEqual([abort]);
  target.completeDisconnect(target.objects[2]!.disconnects.pop()!, NdisStatus.SUCCESS, 0);
  expect(host.log).toEqual(['send UPLOAD_IN_PROGRESS:0', 'disconnect SUCCESS']);
  world.runtime.settle();
  expect(host.log).toHaveLength(2);
});
