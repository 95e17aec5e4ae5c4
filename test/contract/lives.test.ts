/**
 * Random lives that keep the contract, through a stack of intermediate drivers with a verifier at every junction: nobody has
 * anything to say, everything arrives, nothing is left over.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asSeq } from '../../src/base/seq.ts';
import { findingText } from '../../src/contract/finding.ts';
import { Verifier } from '../../src/contract/verifier.ts';
import { PassThrough } from '../../src/im/pass-through.ts';
import type { NdisBindingHandle } from '../../src/ndis/protocol.ts';
import { NdisStatus, OffloadStateType, TcpOffloadEventType, TcpUploadReason } from '../../src/ndis/status.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import { TcpDelegatedState } from '../../src/state/tcp.ts';
import {
  bindHost,
  type Connection,
  chainOf,
  connectionTree,
  data,
  FakeHost,
  FakeTarget,
  finish,
  makeWorld,
  reference,
  type TargetObject,
  terminateTree,
  type World,
} from '../ndis/fakes.ts';

/** What may happen; each step takes what it needs from a number. */
const STEPS = [
  'offload',
  'send',
  'receive',
  'ack',
  'fill',
  'indicate',
  'refuse',
  'return',
  'query',
  'update',
  'event',
  'terminate',
] as const;
type Step = (typeof STEPS)[number];

class Life {
  readonly world: World = makeWorld();
  readonly host = new FakeHost();
  readonly target = new FakeTarget(this.world, 'nic0', false);
  readonly verifiers: Verifier[] = [];
  readonly drivers: PassThrough[] = [];
  readonly binding: NdisBindingHandle;
  handles: Connection | null = null;
  object: TargetObject | null = null;
  /** Whether the last indication was refused and nothing has been posted since. */
  isRefused = false;

  constructor(levels: number) {
    this.world.ndis.registerAdapter(this.target);
    this.#verify('nic0');
    let top = 'nic0';
    for (let i = 0; i < levels; i++) {
      const driver = new PassThrough(this.world, top, { name: `im${i}` });
      top = this.world.ndis.registerAdapter(driver);
      this.drivers.push(driver);
      this.#verify(top);
    }
    this.binding = bindHost(this.world, this.host, top);
  }

  #verify(adapter: string): void {
    const verifier = new Verifier();
    this.verifiers.push(verifier);
    this.world.ndis.attachTap(adapter, verifier);
  }

  step(step: Step, n: number): void {
    if (step === 'offload') this.#offload(n);
    else if (this.handles !== null && this.object !== null) this.#use(step, n, this.handles, this.object);
  }

  #offload(n: number): void {
    if (this.handles !== null) return;
    const { root, handles, tcp } = connectionTree();
    if (n % 3 === 0) {
      const lists = [data(n + 1), data(2)];
      tcp.netBufferListChain = chainOf(lists);
      const delegated = tcp.delegatedState as TcpDelegatedState;
      delegated.sendDataHead = lists[0]!;
      delegated.sendDataTail = lists[1]!;
      delegated.sndMax = asSeq(delegated.sndUna + 1);
    }
    this.target.decide = () => (n % 5 === 0 ? NdisStatus.RESOURCES : NdisStatus.SUCCESS);
    this.target.objects.length = 0;
    this.world.ndis.initiateOffload(this.binding, root);
    this.target.complete(StateOperation.INITIATE);
    if (this.target.objects.length < 3) return;
    this.handles = handles;
    this.object = this.target.objects[2]!;
    this.isRefused = false;
  }

  #use(step: Step, n: number, handles: Connection, object: TargetObject): void {
    const { ndis } = this.world;
    if (step === 'send') ndis.offloadTcpSend(handles.tcp, chainOf([data(n), data(n + 1)])!);
    else if (step === 'receive') {
      ndis.offloadTcpReceive(handles.tcp, data(n));
      this.isRefused = false;
    } else if (step === 'ack') this.#finish(object.sends, n, 'tcpOffloadSendComplete');
    else if (step === 'fill') this.#finish(object.receives, n, 'tcpOffloadReceiveComplete');
    else if (step === 'indicate' || step === 'refuse') this.#indicate(step === 'refuse', object, n);
    else if (step === 'return') {
      const lists = this.host.indicated.splice(0, n);
      if (lists.length > 0) ndis.offloadTcpReceiveReturn(this.binding, chainOf(lists)!);
    } else if (step === 'event') {
      const reason = TcpUploadReason.LOW_ACTIVITY;
      this.target.events.tcpOffloadEventHandler(object.handle, TcpOffloadEventType.INDICATE_RETRIEVE, reason);
    } else if (step === 'terminate') this.terminate();
    else this.#operate(step === 'query', handles);
  }

  /** The target completes some of the oldest lists, in one chain. */
  #finish(
    lists: TargetObject['sends'],
    n: number,
    complete: 'tcpOffloadSendComplete' | 'tcpOffloadReceiveComplete',
  ): void {
    const done = lists.splice(0, n);
    if (done.length === 0) return;
    for (const list of done) finish(list, NdisStatus.SUCCESS, list.firstNetBuffer!.dataLength);
    this.target.events[complete](this.target.handle, chainOf(done)!);
  }

  #indicate(refuse: boolean, object: TargetObject, n: number): void {
    if (this.isRefused || object.receives.length > 0) return;
    const bytes = n + 2;
    const { SUCCESS, OFFLOAD_DATA_NOT_ACCEPTED: NONE, OFFLOAD_DATA_PARTIALLY_ACCEPTED: SOME } = NdisStatus;
    const refusal = n % 2 === 0 ? { status: NONE, consumed: 0 } : { status: SOME, consumed: 1 };
    this.host.answer = () => (refuse ? refusal : { status: SUCCESS, consumed: bytes });
    this.target.indicate(object, data(bytes));
    this.isRefused = refuse;
  }

  #operate(isQuery: boolean, handles: Connection): void {
    const tree = reference(handles.tcp, isQuery ? OffloadStateType.TCP_DELEGATED : OffloadStateType.TCP_CACHED);
    if (isQuery) tree.delegatedState = new TcpDelegatedState();
    if (isQuery) this.world.ndis.queryOffloadState(this.binding, tree);
    else this.world.ndis.updateOffload(this.binding, tree);
    this.target.complete(isQuery ? StateOperation.QUERY : StateOperation.UPDATE);
  }

  terminate(): void {
    if (this.handles === null) return;
    this.world.ndis.terminateOffload(this.binding, terminateTree(this.handles).root);
    this.target.complete(StateOperation.TERMINATE);
    this.handles = null;
    this.object = null;
  }

  end(): void {
    this.terminate();
    const lists = this.host.indicated.splice(0);
    if (lists.length > 0) this.world.ndis.offloadTcpReceiveReturn(this.binding, chainOf(lists)!);
    for (const verifier of this.verifiers) verifier.finish();
  }
}

const steps = fc.array(fc.tuple(fc.constantFrom(...STEPS), fc.integer({ min: 1, max: 9 })), { maxLength: 120 });

test('a life that keeps the contract is reported nowhere and leaves nothing behind (IM-064, NBL-020)', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3 }), steps, (levels, script) => {
      const life = new Life(levels);
      life.step('offload', 1);
      for (const [step, n] of script) life.step(step, n);
      life.end();
      for (const verifier of life.verifiers) {
        expect(verifier.findings.map(findingText)).toEqual([]);
        expect(verifier.failures).toEqual([]);
        expect(verifier.outstanding).toEqual({ operations: 0, lists: 0, held: 0, objects: 0 });
      }
      for (const driver of life.drivers) {
        expect([driver.offloadEntries, driver.callEntries, driver.sendListsBelow]).toEqual([0, 0, 0]);
      }
      expect([life.world.ndis.listsHeld, life.world.ndis.operationsHeld]).toEqual([0, 0]);
    }),
    { numRuns: 300 },
  );
});

test('a verifier takes a tree of twenty thousand connections in its stride (TREE-008)', () => {
  const life = new Life(1);
  const { root, tcp } = connectionTree();
  let last = tcp;
  for (let i = 1; i < 20_000; i++) {
    const next = connectionTree().tcp;
    last.nextBlock = next;
    last = next;
  }
  life.world.ndis.initiateOffload(life.binding, root);
  life.target.complete(StateOperation.INITIATE);
  for (const verifier of life.verifiers) {
    expect(verifier.findings).toEqual([]);
    expect(verifier.failures).toEqual([]);
    expect(verifier.outstanding.objects).toBe(20_002);
  }
});
