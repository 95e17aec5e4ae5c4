/**
 * State operations in the driver half: a tree goes down block by block, and its results come up in the same order.
 *
 * Promises: the tree is read in the entry and written before its completion; objects get their numbers and contexts here; what a
 * connection has received and the host has not taken stays here, and goes up with a terminate. Source: chimney-sequences 2 to 11.
 */

import { NEVER } from '../../base/runtime.ts';
import { seqDiff } from '../../base/seq.ts';
import {
  BlockKind,
  BlockWalk,
  kindOfBlock,
  layerOf,
  type MiniportOffloadBlock,
  NdisStatus,
  OffloadStateType,
  wasOffloaded,
} from '../../ndis/miniport.ts';
import { dataLengthOf, eachRun, type NetBufferList } from '../../state/net-buffer-list.ts';
import { PathConstState } from '../../state/path.ts';
import { TcpCachedState, TcpConnectionState, TcpConstState, TcpDelegatedState, TcpWord } from '../../state/tcp.ts';
import { Event } from '../../trace/events.ts';
import type { Refuse } from '../engine/capacity.ts';
import { Due, lastOf, Standing } from '../engine/contexts.ts';
import { deliver, returnRequests } from '../engine/delivery.ts';
import { OperationKind } from '../engine/engine.ts';
import { answerPendingPower } from '../engine/oids.ts';
import { completeRequests, finishAllRequests, startPushTimer } from '../engine/requests.ts';
import type { Driver } from './driver.ts';
import { DriverConnection, DriverNeighbor, type DriverObject, DriverPath, SendItem } from './driver-objects.ts';
import { abortAll, giveForwards, ship, shipItem, shipWaiting, takeUnfinished } from './driver-sends.ts';
import { PLACEHOLDER, UNKNOWN } from './nic-half.ts';
import type { RecordReader } from './outbox.ts';
import { Down } from './records.ts';
import { type DelegatedState, putState, readState } from './state-codec.ts';

/** An operation that is with the NIC half. */
export class DriverOperation {
  readonly kind: OperationKind;
  readonly root: MiniportOffloadBlock;
  /** Its blocks in the order of the walk, and what they name; null: nothing. */
  readonly blocks: MiniportOffloadBlock[] = [];
  readonly objects: (DriverObject | null)[] = [];
  /** Results that have come. */
  results = 0;

  constructor(kind: OperationKind, root: MiniportOffloadBlock) {
    this.kind = kind;
    this.root = root;
  }
}

/** Bytes that go down with a connection beyond those that the peer has not acknowledged. */
const CARRIED_AHEAD = 64 * 1024;
/** Rounds of receives posted again during a terminate before that is given up. */
const REPOSTS_MAX = 64;

/** An entry: the tree goes down. */
export function startOperation(
  driver: Driver,
  kind: OperationKind,
  root: MiniportOffloadBlock,
  refuse: Refuse | null,
): void {
  const operation = new DriverOperation(kind, root);
  const number = driver.newOperation();
  driver.operations.set(number, operation);
  if (kind === OperationKind.INITIATE) driver.initiates++;
  if (driver.isDead) {
    driver.orphans.push(number);
    driver.schedule();
    readTree(driver, operation);
    return;
  }
  driver.expectations.announce();
  driver.out.say(Down.OPERATION, number, kind);
  const above: (DriverObject | null)[] = [null, null, null];
  // What hangs on an object that is refused here is not asked about.
  let refusedDepth = Number.POSITIVE_INFINITY;
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    const { depth } = walk;
    const object = objectOf(driver, kind, block, depth === 0 ? null : above[depth - 1]!);
    above[depth] = object;
    operation.blocks.push(block);
    operation.objects.push(object);
    if (depth <= refusedDepth) refusedDepth = Number.POSITIVE_INFINITY;
    const isBelow = depth > refusedDepth;
    const isNew = object !== null && block.miniportOffloadContext!.miniportOffloadContext === null;
    const refusal = isNew && !isBelow ? refusalOf(driver, block, object, refuse) : NdisStatus.SUCCESS;
    if (refusal !== NdisStatus.SUCCESS) refusedDepth = depth;
    writeBlock(driver, kind, block, object, depth, isNew && !isBelow, refusal);
  }
  driver.out.say(Down.GO, number);
  driver.publishOperation(kind === OperationKind.TERMINATE);
}

/** The blocks of a tree that goes nowhere. */
function readTree(driver: Driver, operation: DriverOperation): void {
  const walk = new BlockWalk<MiniportOffloadBlock>();
  walk.start(operation.root);
  for (let block = walk.next(); block !== null; block = walk.next()) {
    operation.blocks.push(block);
    operation.objects.push(objectOf(driver, OperationKind.QUERY, block, null));
  }
}

/** What a block names: an object that is here, or at initiate one that is to be. */
function objectOf(
  driver: Driver,
  kind: OperationKind,
  block: MiniportOffloadBlock,
  parent: unknown,
): DriverObject | null {
  const slot = block.miniportOffloadContext;
  if (slot === null) return null;
  const context = slot.miniportOffloadContext;
  if (context instanceof DriverNeighbor || context instanceof DriverPath || context instanceof DriverConnection) {
    if (context.id === 0) return null;
    if (kind === OperationKind.TERMINATE && context instanceof DriverConnection) context.isTerminating = true;
    return context;
  }
  if (kind !== OperationKind.INITIATE || kindOfBlock(block) !== BlockKind.NEW_OFFLOAD) return null;
  const id = driver.newId();
  const object = newObject(id, block, parent);
  driver.objects[id] = object;
  return object;
}

function newObject(id: number, block: MiniportOffloadBlock, parent: unknown): DriverObject {
  const handle = block.ndisOffloadHandle!;
  const layer = layerOf(block.header.type);
  const { constState, cachedState, delegatedState } = block;
  if (layer === 2) {
    const isWhole =
      constState instanceof TcpConstState &&
      cachedState instanceof TcpCachedState &&
      delegatedState instanceof TcpDelegatedState;
    const path = parent instanceof DriverPath ? parent : null;
    if (!isWhole) return new DriverConnection(id, handle, path, [0, 0], 0, false, 0, 0);
    const { state } = delegatedState;
    const connection = new DriverConnection(
      id,
      handle,
      path,
      [constState.localPort, constState.remotePort],
      state,
      state === TcpConnectionState.ESTABLISHED || state === TcpConnectionState.CLOSE_WAIT,
      constState.hashValue,
      cachedState.rcvIndicationSize,
    );
    connection.sndUna = delegatedState.sndUna;
    return connection;
  }
  if (layer === 1) {
    const family = block.header.type === OffloadStateType.IP4 ? 4 : 6;
    if (!(constState instanceof PathConstState)) return new DriverPath(id, handle, family, NOTHING, NOTHING);
    return new DriverPath(id, handle, family, constState.sourceAddress.slice(), constState.destinationAddress.slice());
  }
  return new DriverNeighbor(id, handle);
}

const NOTHING: Uint8Array = new Uint8Array(0);

function writeBlock(
  driver: Driver,
  kind: OperationKind,
  block: MiniportOffloadBlock,
  object: DriverObject | null,
  depth: number,
  isNew: boolean,
  refusal: number,
): void {
  const { out } = driver;
  const connection = object instanceof DriverConnection ? object : null;
  const isPlaceholder = block.miniportOffloadContext === null;
  const chain = isNew && connection !== null && refusal === NdisStatus.SUCCESS ? block.netBufferListChain : null;
  if (isNew && connection !== null && refusal === NdisStatus.SUCCESS) noteBuffered(connection, block);
  // What follows a placeholder is nobody's.
  const delegated = isPlaceholder ? null : block.delegatedState;
  out.begin(Down.BLOCK);
  out.put(depth);
  out.put(block.header.type);
  out.put(block.header.revision);
  out.put(isPlaceholder ? PLACEHOLDER : (object?.id ?? UNKNOWN));
  out.put(refusal);
  out.put(connection === null ? 0 : connection.untakenBytes);
  out.put(isNew && delegated instanceof TcpDelegatedState && delegated.bufferedData?.hasUrgentData ? 1 : 0);
  putState(out, isPlaceholder ? null : block.constState);
  if (isPlaceholder) putState(out, null);
  else putCached(driver, block, kind, connection);
  putState(out, delegated);
  out.end();
  if (chain !== null && connection !== null) carry(driver, connection, chain, delegated as TcpDelegatedState);
}

/** RcvIndicationSize is the driver half's; the NIC half always hands on all there is. */
function putCached(
  driver: Driver,
  block: MiniportOffloadBlock,
  kind: OperationKind,
  connection: DriverConnection | null,
): void {
  const cached = block.cachedState;
  if (!(cached instanceof TcpCachedState)) {
    putState(driver.out, cached);
    return;
  }
  const word = cached.base + TcpWord.RCV_INDICATION_SIZE;
  const size = cached.words[word]!;
  if (connection !== null && kind === OperationKind.UPDATE) connection.rcvIndicationSize = size;
  cached.words[word] = 0;
  putState(driver.out, cached);
  cached.words[word] = size;
}

/** What the driver half has against an object: a policy, and want of room. */
function refusalOf(driver: Driver, block: MiniportOffloadBlock, object: DriverObject, refuse: Refuse | null): number {
  if (object instanceof DriverConnection && block.delegatedState instanceof TcpDelegatedState) {
    // INIT-060.
    if (chainBytes(block.delegatedState.bufferedData) > driver.pool.freeBytes) return NdisStatus.FAILURE;
    // Room for both, and for what else may be sent meanwhile.
    const bytes = chainBytes(block.netBufferListChain);
    if (bytes > 0 && 2 * bytes > driver.sendPool.freeBytes) return NdisStatus.OFFLOAD_TCP_XMIT_BUFFER;
  }
  return refuse === null ? NdisStatus.SUCCESS : refuse({ layer: object.layer, block });
}

function chainBytes(lists: NetBufferList | null): number {
  let bytes = 0;
  for (let list = lists; list !== null; list = list.next) bytes += dataLengthOf(list);
  return bytes;
}

/** What the host had received and not read: the NIC half has to know how much it is. */
function noteBuffered(connection: DriverConnection, block: MiniportOffloadBlock): void {
  const delegated = block.delegatedState;
  if (!(delegated instanceof TcpDelegatedState)) return;
  connection.untakenBytes = chainBytes(delegated.bufferedData);
  // It waits for posted requests first, the remainder is indicated (INIT-062, INIT-063).
  connection.isRefused = connection.untakenBytes > 0;
  connection.isBufferedPushed = true;
  const { state } = delegated;
  if (
    state === TcpConnectionState.CLOSE_WAIT ||
    state === TcpConnectionState.CLOSING ||
    state === TcpConnectionState.LAST_ACK
  ) {
    connection.isFinReceived = true;
    connection.isDisconnectIndicated = connection.untakenBytes === 0;
  }
}

/** INIT-059: it is copied before the completion; by then the NIC half serves the connection. */
function takeBuffered(driver: Driver, connection: DriverConnection, block: MiniportOffloadBlock): void {
  const delegated = block.delegatedState;
  if (!(delegated instanceof TcpDelegatedState)) return;
  for (let list = delegated.bufferedData; list !== null; list = list.next) {
    for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) {
      eachRun(nb, (bytes, at, length) => driver.pool.append(connection.buffered, bytes, at, length));
    }
  }
}

/** States in which more may be sent after what goes with the state. */
function maySend(state: number): boolean {
  return state === TcpConnectionState.ESTABLISHED || state === TcpConnectionState.CLOSE_WAIT;
}

/**
 * Send data that goes with the state: what the peer has not acknowledged, and a little for the NIC half to go on with. What follows is
 * sent as soon as the connection is served again.
 */
function carry(
  driver: Driver,
  connection: DriverConnection,
  chain: NetBufferList,
  { state, sndUna, sndMax }: TcpDelegatedState,
): void {
  let bytes = maySend(state) ? seqDiff(sndMax, sndUna) + CARRIED_AHEAD : Number.POSITIVE_INFINITY;
  for (let list: NetBufferList | null = chain; list !== null; list = list.next) {
    const item = new SendItem(list, false);
    if (connection.lastItem === null) connection.firstItem = item;
    else connection.lastItem.next = item;
    connection.lastItem = item;
    if (bytes > 0) shipItem(driver, connection, item, Down.CARRIED);
    else connection.firstUnshipped ??= item;
    bytes -= dataLengthOf(list);
  }
}

/** A result came up. */
export function onResult(driver: Driver, record: RecordReader): void {
  const operation = driver.operations.get(record.next())!;
  const index = operation.results++;
  const block = operation.blocks[index]!;
  const object = operation.objects[index]!;
  block.status = record.next();
  block.handedOverAtUs = record.nextDouble();
  if (operation.kind !== OperationKind.QUERY && operation.kind !== OperationKind.TERMINATE) return;
  block.constState = readState(record, block.constState) as typeof block.constState;
  const cached = readState(record, block.cachedState);
  if (cached instanceof TcpCachedState && object instanceof DriverConnection) {
    cached.rcvIndicationSize = object.rcvIndicationSize;
  }
  block.cachedState = cached as typeof block.cachedState;
  block.delegatedState = readState(record, block.delegatedState) as DelegatedState | null;
  const delegated = block.delegatedState;
  if (!(delegated instanceof TcpDelegatedState)) return;
  delegated.sendDataHead = null;
  delegated.sendDataTail = null;
  delegated.bufferedData = null;
  if (operation.kind === OperationKind.QUERY && object instanceof DriverConnection) {
    delegated.receiveBacklogSize += object.buffered.length;
  }
}

/** All results of an operation have come: it is completed. */
export function onDone(driver: Driver, number: number): void {
  const operation = driver.operations.get(number)!;
  driver.operations.delete(number);
  driver.hasIndicated = true;
  const { root } = operation;
  switch (operation.kind) {
    case OperationKind.INITIATE:
      initiated(driver, operation);
      driver.initiates--;
      if (driver.statuses.length + driver.inquiries.length > 0) driver.schedule();
      return;
    case OperationKind.TERMINATE:
      terminated(driver, operation);
      return;
    case OperationKind.UPDATE:
      driver.ndisM.updateOffloadComplete(driver.handle, root);
      return;
    case OperationKind.QUERY:
      driver.ndisM.queryOffloadStateComplete(driver.handle, root);
      return;
    default:
      driver.ndisM.invalidateOffloadComplete(driver.handle, root);
  }
}

/** Objects that were taken get their slots; of the others nothing is left. */
function initiated(driver: Driver, operation: DriverOperation): void {
  const taken: DriverConnection[] = [];
  operation.blocks.forEach((block, i) => {
    const object = operation.objects[i]!;
    const slot = block.miniportOffloadContext;
    if (object === null || slot === null || slot.miniportOffloadContext !== null) return;
    if (!wasOffloaded(block.status)) {
      drop(driver, object);
      return;
    }
    slot.miniportOffloadContext = object;
    if (object instanceof DriverConnection) {
      driver.connectionCount++;
      object.isTaken = true;
      taken.push(object);
      takeBuffered(driver, object, block);
      if (object.buffered.length > 0) startPushTimer(driver, object, driver.runtime.nowUs());
    } else if (object instanceof DriverPath) driver.pathCount++;
    else driver.neighborCount++;
  });
  driver.ndisM.initiateOffloadComplete(driver.handle, operation.root);
  for (const connection of taken) {
    connection.isInitiating = false;
    driver.mark(connection, Due.DELIVER);
    ship(driver, connection);
  }
}

/** An object that was not taken: its numbers and copies are free, the host's lists are as they were. */
function drop(driver: Driver, object: DriverObject): void {
  if (object instanceof DriverConnection) {
    driver.pool.clear(object.buffered);
    if (object.firstItem !== null) {
      driver.parts.forEach((part, number) => {
        if (part.connection === object) driver.freePart(number);
      });
    }
    object.firstItem = null;
    object.lastItem = null;
    object.firstUnshipped = null;
  }
  driver.freeId(object.id);
  object.id = 0;
}

function terminated(driver: Driver, operation: DriverOperation): void {
  const gone: DriverObject[] = [];
  operation.blocks.forEach((block, i) => {
    const object = operation.objects[i]!;
    if (object === null) return;
    if (block.status === NdisStatus.SUCCESS) {
      if (object instanceof DriverConnection) giveUp(driver, object, block);
      gone.push(object);
    } else if (object instanceof DriverConnection) object.isTerminating = false;
  });
  for (const object of gone) {
    if (object instanceof DriverConnection) driver.connectionCount--;
    else if (object instanceof DriverPath) driver.pathCount--;
    else driver.neighborCount--;
    driver.freeId(object.id);
    object.id = 0;
  }
  driver.ndisM.terminateOffloadComplete(driver.handle, operation.root);
  shipWaiting(driver);
  answerPendingPower(driver);
}

/** Everything of a connection that goes up; see the engine's terminate.ts for the order. */
export function giveUp(driver: Driver, connection: DriverConnection, block: MiniportOffloadBlock): void {
  const nowUs = driver.runtime.nowUs();
  if (connection.standing === Standing.NORMAL) deliver(driver, connection, nowUs);
  const isAborted = connection.standing === Standing.ABORTED;
  if (isAborted) abortAll(driver, connection, NdisStatus.REQUEST_ABORTED);
  for (let rounds = 0; rounds < REPOSTS_MAX; rounds++) {
    if (isAborted) finishAllRequests(connection, NdisStatus.REQUEST_ABORTED, NdisStatus.REQUEST_ABORTED);
    else returnRequests(connection);
    if (completeRequests(driver, connection)) continue;
    if (connection.unforwarded.length === 0) break;
    giveForwards(driver, connection);
  }
  const chain = takeUnfinished(driver, connection);
  for (const list of connection.aborts.splice(0)) {
    list.status = NdisStatus.UPLOAD_IN_PROGRESS;
    list.tcpOffloadBytesTransferred = 0;
    driver.ndis.tcpOffloadDisconnectComplete(driver.handle, list);
  }
  connection.standing = Standing.TERMINATED;
  driver.heap.set(connection.id, NEVER);
  const { type } = block.header;
  const conveys = type === OffloadStateType.TCP_DELEGATED || type === OffloadStateType.TCP;
  const delegated = conveys && block.delegatedState instanceof TcpDelegatedState ? block.delegatedState : null;
  block.netBufferListChain = null;
  if (delegated === null) {
    if (chain !== null) giveBackChain(driver, chain);
    if (connection.buffered.length > 0) driver.trace.emit(Event.TARGET_DATA_LOST, nowUs, connection.buffered.length);
    driver.pool.clear(connection.buffered);
    return;
  }
  if (chain !== null) {
    block.netBufferListChain = chain;
    delegated.sendDataHead = chain;
    delegated.sendDataTail = lastOf(chain);
  }
  if (isAborted) driver.pool.clear(connection.buffered);
  else if (connection.buffered.length > 0) {
    delegated.bufferedData = driver.pool.detach(connection.buffered, connection.buffered.length);
  }
}

function giveBackChain(driver: Driver, chain: NetBufferList): void {
  for (let list: NetBufferList | null = chain; list !== null; list = list.next) {
    list.status = NdisStatus.UPLOAD_IN_PROGRESS;
  }
  driver.ndis.tcpOffloadSendComplete(driver.handle, chain);
}
