/** A verifier between a scripted host and a scripted target, and the words in which breaches of rules are written. */

import { Verifier, type VerifierOptions } from '../../src/contract/verifier.ts';
import type { MiniportOffloadBlock } from '../../src/ndis/miniport.ts';
import { NdisOffloadHandle, OffloadBlock } from '../../src/ndis/offload-block.ts';
import type { BytesConsumed, NdisBindingHandle } from '../../src/ndis/protocol.ts';
import { NdisStatus, OffloadStateType, TcpDisconnectFlag } from '../../src/ndis/status.ts';
import { DataOperation, StateOperation } from '../../src/ndis/tap.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';
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
  hang,
  makeWorld,
  neighborBlock,
  pathBlock,
  reference,
  type TargetObject,
  tcpBlock,
  terminateTree,
  type World,
} from '../ndis/fakes.ts';

export class Scene {
  readonly world: World = makeWorld();
  readonly host: FakeHost = new FakeHost();
  readonly target: FakeTarget;
  readonly verifier: Verifier;
  binding!: NdisBindingHandle;
  /** The connection that {@link offload} offloads, and the target's object of it. */
  handles!: Connection;

  constructor(options: VerifierOptions = {}) {
    this.target = new FakeTarget(this.world, 'nic0', false);
    this.verifier = new Verifier(options);
    this.world.ndis.registerAdapter(this.target);
    this.world.ndis.attachTap('nic0', this.verifier);
  }

  bind(): this {
    this.binding = bindHost(this.world, this.host, 'nic0');
    return this;
  }

  get object(): TargetObject {
    return this.target.objects[2]!;
  }

  /** A neighbor, a path and a connection at the target. */
  offload(change: (tree: ReturnType<typeof connectionTree>) => void = () => {}): this {
    this.bind();
    const tree = connectionTree();
    this.handles = tree.handles;
    change(tree);
    this.initiate(tree.root);
    this.target.complete(StateOperation.INITIATE);
    return this;
  }

  /** The three objects once more, after their terminate. */
  offloadAgain(): void {
    const { neighbor, path, tcp } = this.handles;
    this.target.objects.length = 0;
    this.initiate(hang(neighborBlock(neighbor), hang(pathBlock(path), tcpBlock(tcp))));
    this.target.complete(StateOperation.INITIATE);
  }

  initiate(root: OffloadBlock): void {
    this.world.ndis.initiateOffload(this.binding, root);
  }

  /** Initiates a tree and lets the target complete it with these statuses, in the order of the walk. */
  initiateAs(root: OffloadBlock, statuses: readonly number[], slots: readonly boolean[] = []): void {
    this.initiate(root);
    const taken = this.target.take(StateOperation.INITIATE);
    let i = 0;
    each(taken, (block) => {
      const status = statuses[i]!;
      const isTaken = slots[i] ?? (status === NdisStatus.SUCCESS || status === NdisStatus.OFFLOAD_PARTIAL_SUCCESS);
      const slot = block.miniportOffloadContext;
      if (slot !== null && slot.miniportOffloadContext === null && isTaken) slot.miniportOffloadContext = { i };
      block.status = status;
      i++;
    });
    this.target.handBack(StateOperation.INITIATE, taken);
  }

  /** Calls a state operation on a tree (by default: the connection alone). */
  call(operation: StateOperation, root: OffloadBlock = this.treeFor(operation)): OffloadBlock {
    const { ndis } = this.world;
    if (operation === StateOperation.INITIATE) ndis.initiateOffload(this.binding, root);
    else if (operation === StateOperation.TERMINATE) ndis.terminateOffload(this.binding, root);
    else if (operation === StateOperation.UPDATE) ndis.updateOffload(this.binding, root);
    else if (operation === StateOperation.QUERY) ndis.queryOffloadState(this.binding, root);
    else ndis.invalidateOffload(this.binding, root);
    return root;
  }

  /** A tree of the kind that an operation takes, about the connection alone. */
  treeFor(operation: StateOperation): OffloadBlock {
    const { tcp } = this.handles;
    if (operation === StateOperation.INVALIDATE) return reference(tcp, OffloadStateType.TCP);
    if (operation === StateOperation.UPDATE) {
      const block = reference(tcp, OffloadStateType.TCP_CACHED);
      block.cachedState = tcpBlock(tcp).cachedState;
      return block;
    }
    const block = reference(tcp, OffloadStateType.TCP_DELEGATED);
    block.delegatedState = new TcpDelegatedState();
    return block;
  }

  /** Calls and completes a terminate of everything; `change` gets the tree with all statuses written and all lists dealt with. */
  terminate(change: (root: MiniportOffloadBlock, tcp: OffloadBlock) => void = () => {}): void {
    const { root, tcp } = terminateTree(this.handles);
    this.call(StateOperation.TERMINATE, root);
    const taken = this.target.take(StateOperation.TERMINATE);
    each(taken, (block) => {
      block.status = NdisStatus.SUCCESS;
    });
    this.target.upload(taken);
    change(taken, tcp);
    this.target.handBack(StateOperation.TERMINATE, taken);
  }

  /** Posts lists on the connection. */
  post(operation: DataOperation, lists: NetBufferList | readonly NetBufferList[], flags = 0): void {
    const chain = Array.isArray(lists) ? chainOf(lists)! : (lists as NetBufferList);
    const { ndis } = this.world;
    const { tcp } = this.handles;
    if (operation === DataOperation.SEND) ndis.offloadTcpSend(tcp, chain);
    else if (operation === DataOperation.RECEIVE) ndis.offloadTcpReceive(tcp, chain);
    else if (operation === DataOperation.FORWARD) ndis.offloadTcpForward(tcp, chain);
    else ndis.offloadTcpDisconnect(tcp, chain, flags);
  }

  send(bytes: number): NetBufferList {
    const list = data(bytes);
    this.post(DataOperation.SEND, list);
    return list;
  }

  receive(bytes: number): NetBufferList {
    const list = data(bytes);
    this.post(DataOperation.RECEIVE, list);
    return list;
  }

  graceful(bytes = 0): NetBufferList {
    const list = data(bytes);
    this.post(DataOperation.DISCONNECT, list, TcpDisconnectFlag.GRACEFUL_CLOSE);
    return list;
  }

  abortive(): NetBufferList {
    const list = data(0);
    this.post(DataOperation.DISCONNECT, list, TcpDisconnectFlag.ABORTIVE_CLOSE);
    return list;
  }

  /** The target completes a list, which it takes off its books. */
  complete(operation: DataOperation, list: NetBufferList, status: number, bytes: number): void {
    const { sends, receives, disconnects, forwards } = this.object;
    for (const books of [sends, receives, disconnects, forwards]) {
      if (books.includes(list)) books.splice(books.indexOf(list), 1);
    }
    finish(list, status, bytes);
    this.completeAsItIs(operation, list);
  }

  /** The target calls a completion with a list just as it is. */
  completeAsItIs(operation: DataOperation, list: NetBufferList): void {
    const { events, handle } = this.target;
    if (operation === DataOperation.SEND) events.tcpOffloadSendComplete(handle, list);
    else if (operation === DataOperation.RECEIVE) events.tcpOffloadReceiveComplete(handle, list);
    else if (operation === DataOperation.DISCONNECT) events.tcpOffloadDisconnectComplete(handle, list);
    else events.tcpOffloadForwardComplete(handle, list);
  }

  event(type: number, information = 0): void {
    this.target.events.tcpOffloadEventHandler(this.handles.tcp, type, information);
  }

  indicate(list: NetBufferList = data(10), status: number = NdisStatus.SUCCESS): NetBufferList {
    const consumed: BytesConsumed = { value: 0 };
    this.target.events.tcpOffloadReceiveHandler(this.handles.tcp, list, status, consumed);
    return list;
  }

  /** How the host answers from now on. */
  answering(status: number, consumed: number): void {
    this.host.answer = () => ({ status, consumed });
  }

  refusing(): void {
    this.answering(NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, 0);
  }

  /** Does what the library or a driver may rightly stop with an assertion. */
  attempt(act: () => void): void {
    try {
      act();
    } catch {
      // What counts is what the verifier saw before.
    }
  }

  returnLists(...lists: NetBufferList[]): void {
    this.world.ndis.offloadTcpReceiveReturn(this.binding, chainOf(lists)!);
  }

  get rules(): string[] {
    return this.verifier.findings.map((finding) => finding.rule);
  }
}

export function each(root: MiniportOffloadBlock, visit: (block: MiniportOffloadBlock) => void): void {
  for (let block: MiniportOffloadBlock | null = root; block !== null; block = block.nextBlock) {
    visit(block);
    if (block.dependentBlockList !== null) each(block.dependentBlockList, visit);
  }
}

/** A tree of new objects: a neighbor over paths, each over so many connections. */
export function freshTree(...connectionsOfPath: number[]): OffloadBlock {
  const paths = connectionsOfPath.map((count, p) => {
    const tcps = Array.from({ length: count }, (_, t) => tcpBlock(new NdisOffloadHandle(`T${p}.${t}`), 100 + t));
    return hang(pathBlock(new NdisOffloadHandle(`P${p}`)), ...tcps);
  });
  return hang(neighborBlock(new NdisOffloadHandle('N')), ...paths);
}

export function placeholder(...dependents: OffloadBlock[]): OffloadBlock {
  return hang(new OffloadBlock(OffloadStateType.NEIGHBOR), ...dependents);
}

/** A rule, what is done to break it, and what else cannot but be reported with it. */
export interface Breach {
  readonly rule: string;
  readonly how: string;
  readonly act: (scene: Scene) => void;
  readonly with?: readonly string[];
}

export function breach(rule: string, how: string, act: (scene: Scene) => void, ...others: string[]): Breach {
  return { rule, how, act, with: others };
}
