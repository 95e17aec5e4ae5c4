/**
 * Sends, disconnects and forwards in the driver half: copied into shared memory, part by part, and completed as the parts come back.
 *
 * Promises: lists leave in the order in which they were posted, and come back as the engine says, with TcpOffloadBytesTransferred
 * set and the data start advanced by what was acknowledged (SEND-024, SEND-025); a list is never refused (SEND-006): what finds no
 * room in the pool waits here. Whether a connection still takes sends is the engine's to say. Source: chimney-sequences 12, 14, 16.
 */

import { NdisStatus, TcpDisconnectFlag } from '../../ndis/miniport.ts';
import { advanceNetBufferDataStart, type NetBufferList } from '../../state/net-buffer-list.ts';
import { Due, Standing } from '../engine/contexts.ts';
import type { Driver } from './driver.ts';
import { type DriverConnection, type Part, SendItem } from './driver-objects.ts';
import { Down } from './records.ts';

/** Bytes of one part at most, and pieces in its record. */
const PART_MAX = 256 * 1024;
const PIECES_MAX = 256;
/** A part is not made for less than this while more data is there to be sent. */
const ROOM_LEAST = 16 * 1024;
/** Fewer bytes are copied, wherever they lie. */
const COPIED_MAX = 1024;
/** Kept free for forwarded segments and small sends. */
const RESERVE = 64 * 1024;

/** MiniportTcpOffloadSend. */
export function postSends(driver: Driver, connection: DriverConnection, lists: NetBufferList): void {
  let list: NetBufferList | null = lists;
  while (list !== null) {
    const next: NetBufferList | null = list.next;
    list.next = null;
    queue(connection, new SendItem(list, false));
    list = next;
  }
  ship(driver, connection);
}

/** MiniportTcpOffloadDisconnect. */
export function postDisconnect(driver: Driver, connection: DriverConnection, list: NetBufferList, flags: number): void {
  list.next = null;
  if (flags === TcpDisconnectFlag.ABORTIVE_CLOSE) {
    connection.aborts.push(list);
    if (driver.isDead) ship(driver, connection);
    else driver.out.say(Down.DISCONNECT, connection.id, flags);
    return;
  }
  const item = new SendItem(list, true);
  connection.disconnect = item;
  queue(connection, item);
  ship(driver, connection);
}

function queue(connection: DriverConnection, item: SendItem): void {
  if (connection.lastItem === null) connection.firstItem = item;
  else connection.lastItem.next = item;
  connection.lastItem = item;
  connection.firstUnshipped ??= item;
}

/** Gives the NIC half whatever there is room for. */
export function ship(driver: Driver, connection: DriverConnection): void {
  if (connection.isTerminating || connection.id === 0) return;
  // What is left of a NIC half that has died goes up with its terminate, and what is posted meanwhile with it.
  if (connection.remains !== null) return;
  if (driver.isDead) {
    driver.lost.push(connection);
    driver.schedule();
    return;
  }
  // What the host aborts goes nowhere any more: it comes back with the abort.
  if (connection.aborts.length > 0) return;
  while (connection.firstUnshipped !== null) {
    const item = connection.firstUnshipped;
    if (!shipItem(driver, connection, item, Down.SEND)) {
      wait(driver, connection);
      return;
    }
    connection.firstUnshipped = item.next;
    if (item.isDisconnect) driver.out.say(Down.DISCONNECT, connection.id, TcpDisconnectFlag.GRACEFUL_CLOSE);
  }
}

/** All of a list in parts; false: there is no room for the rest. `type`: the record. */
export function shipItem(driver: Driver, connection: DriverConnection, item: SendItem, type: number): boolean {
  skipEmpty(item);
  // A disconnect without data is no part at all; a send without data is one, so that it keeps its place.
  if (item.nb === null && (item.isDisconnect || item.isShipped)) {
    item.isShipped = true;
    return true;
  }
  do {
    const left = bytesLeft(item);
    const free = driver.sendPool.freeBytes - (item.parts === 0 && left <= ROOM_LEAST ? 0 : RESERVE);
    const length = Math.min(left, PART_MAX, free);
    if (length < left && length < ROOM_LEAST) return false;
    makePart(driver, connection, item, length, type);
  } while (item.nb !== null);
  item.isShipped = true;
  return true;
}

function bytesLeft(item: SendItem): number {
  let bytes = item.nbLeft;
  for (let nb = item.nb === null ? null : item.nb.next; nb !== null; nb = nb.next) bytes += nb.dataLength;
  return bytes;
}

/** Goes to the next NET_BUFFER with data in it. */
function skipEmpty(item: SendItem): void {
  while (item.nb !== null && item.nbLeft === 0) {
    item.nb = item.nb.next;
    item.mdl = item.nb === null ? null : item.nb.currentMdl;
    item.mdlOffset = item.nb === null ? 0 : item.nb.currentMdlOffset;
    item.nbLeft = item.nb === null ? 0 : item.nb.dataLength;
  }
}

function makePart(driver: Driver, connection: DriverConnection, item: SendItem, length: number, type: number): void {
  const number = driver.newPart();
  const part = driver.parts[number]!;
  let left = length;
  for (let pieces = 0; left > 0 && pieces < PIECES_MAX; pieces += 1 + Math.ceil(length / 32_768)) {
    left -= copyRun(driver, part, item, left);
    skipEmpty(item);
  }
  part.connection = connection;
  part.item = item;
  part.isFirst = item.parts === 0;
  part.isLast = item.nb === null;
  item.parts++;
  item.partsOut++;
  writePart(driver, part, number, connection, type);
}

/** One run of bytes that lie together; answers how many. */
function copyRun(driver: Driver, part: Part, item: SendItem, most: number): number {
  let mdl = item.mdl!;
  while (item.mdlOffset >= mdl.byteCount) {
    mdl = mdl.next!;
    item.mdl = mdl;
    item.mdlOffset = 0;
  }
  const n = Math.min(most, item.nbLeft, mdl.byteCount - item.mdlOffset);
  const at = mdl.byteOffset + item.mdlOffset;
  // What was received here, or written into shared memory, is sent from where it lies: whoever sends it keeps it until the send is complete.
  const block = n < COPIED_MAX ? -1 : driver.arena.keptBlockOf(mdl.buffer, at, n);
  if (block < 0) driver.sendPool.append(part.data, mdl.buffer, at, n);
  else
    driver.sendPool.adopt(part.data, block, mdl.buffer.byteOffset + at - driver.arena.keptBlock(block).byteOffset, n);
  item.mdlOffset += n;
  item.nbLeft -= n;
  return n;
}

function writePart(driver: Driver, part: Part, number: number, connection: DriverConnection, type: number): void {
  const { out } = driver;
  out.begin(type);
  out.put(connection.id);
  out.put(number);
  for (let mdl = part.data.first; mdl !== null; mdl = mdl.next as typeof mdl) {
    out.put(mdl.block.isForeign ? ~mdl.block.index : mdl.block.index);
    out.put(mdl.byteOffset);
    out.put(mdl.byteCount);
  }
  out.end();
}

function wait(driver: Driver, connection: DriverConnection): void {
  if (connection.isWaiting) return;
  connection.isWaiting = true;
  driver.waiting.push(connection);
}

/** Memory of the send pool is free again: those that waited for it go on. */
export function shipWaiting(driver: Driver): void {
  if (driver.waiting.length === 0) return;
  const { waiting } = driver;
  driver.waiting = [];
  for (const connection of waiting) {
    connection.isWaiting = false;
    ship(driver, connection);
  }
}

/** A chain of lists about to be completed together. */
class Completion {
  first: NetBufferList | null = null;
  last: NetBufferList | null = null;

  add(list: NetBufferList): void {
    list.next = null;
    if (this.last === null) this.first = list;
    else this.last.next = list;
    this.last = list;
  }
}

/**
 * Parts came back. `next` reads them: number, bytes acknowledged. PENDING: those that a terminate found unfinished; their lists stay
 * and go up with the state. `before`: done before lists are completed.
 */
export function partsBack(
  driver: Driver,
  connection: DriverConnection,
  status: number,
  count: number,
  next: () => number,
  before: () => void,
): void {
  const done = new Completion();
  for (let i = 0; i < count; i++) {
    const number = next();
    const acked = next();
    const part = driver.parts[number]!;
    const item = part.item!;
    const { isFirst, isLast } = part;
    driver.freePart(number);
    item.partsOut--;
    item.acked += acked;
    connection.ackedBytes += acked;
    if (status === NdisStatus.PENDING) continue;
    if (status === NdisStatus.UPLOAD_IN_PROGRESS) {
      connection.areSendsReturned = true;
      if (isFirst) item.isReturned = true;
    } else if (status !== NdisStatus.SUCCESS) item.failure = status;
    if (item.isDisconnect || item.partsOut > 0) continue;
    if (item.failure !== 0) finish(connection, item, item.failure, done);
    else if (item.isReturned && item.isShipped) finish(connection, item, NdisStatus.UPLOAD_IN_PROGRESS, done);
    else if (isLast && status === NdisStatus.SUCCESS) finish(connection, item, NdisStatus.SUCCESS, done);
  }
  if (done.first !== null && status === NdisStatus.SUCCESS) before();
  complete(driver, done);
}

function complete(driver: Driver, done: Completion): void {
  if (done.first === null) return;
  driver.hasIndicated = true;
  driver.ndis.tcpOffloadSendComplete(driver.handle, done.first);
}

/** A list leaves the queue: the accounts are done and its status written. */
function finish(connection: DriverConnection, item: SendItem, status: number, done: Completion | null): void {
  unqueue(connection, item);
  account(item, status);
  done?.add(item.list);
}

function account(item: SendItem, status: number): void {
  const { list } = item;
  list.status = status;
  list.tcpOffloadBytesTransferred = item.acked;
  let left = item.acked;
  for (let nb = list.firstNetBuffer; nb !== null && left > 0; nb = nb.next) {
    const n = Math.min(left, nb.dataLength);
    advanceNetBufferDataStart(nb, n);
    left -= n;
  }
}

/** The item is nearly always the first. */
function unqueue(connection: DriverConnection, item: SendItem): void {
  if (connection.firstUnshipped === item) connection.firstUnshipped = item.next;
  let before: SendItem | null = null;
  for (let one = connection.firstItem; one !== item; one = one!.next) before = one;
  if (before === null) connection.firstItem = item.next;
  else before.next = item.next;
  if (connection.lastItem === item) connection.lastItem = before;
  item.next = null;
}

/** A disconnect came back from the NIC half. */
export function disconnected(driver: Driver, connection: DriverConnection, isAbortive: boolean, status: number): void {
  if (isAbortive) {
    const list = connection.aborts.shift()!;
    list.tcpOffloadBytesTransferred = 0;
    if (status === NdisStatus.SUCCESS) {
      connection.standing = Standing.ABORTED;
      connection.isEstablished = false;
      abortUnshipped(driver, connection);
    }
    giveDisconnect(driver, list, status);
    driver.mark(connection, Due.DELIVER);
    ship(driver, connection);
    return;
  }
  connection.disconnectStatus = status;
  if (status === NdisStatus.SUCCESS) connection.isEstablished = false;
  // Of a connection that goes up it follows the receives (giveUp).
  const isLast = connection.isTerminating && status === NdisStatus.UPLOAD_IN_PROGRESS;
  if (connection.disconnect!.partsOut === 0 && !isLast) completeDisconnect(driver, connection, status);
}

/** What never went to the NIC half comes back before the abortive disconnect does (DISC-008), as what did has come. */
function abortUnshipped(driver: Driver, connection: DriverConnection): void {
  const done = new Completion();
  let isDisconnectAmong = false;
  for (let item = connection.firstUnshipped; item !== null; ) {
    const { next } = item;
    if (item.isDisconnect) isDisconnectAmong = true;
    else if (item.partsOut === 0) finish(connection, item, NdisStatus.REQUEST_ABORTED, done);
    item = next;
  }
  connection.firstUnshipped = null;
  complete(driver, done);
  if (isDisconnectAmong) completeDisconnect(driver, connection, NdisStatus.REQUEST_ABORTED);
}

/** Completes the graceful disconnect, if there is one. */
export function completeDisconnect(driver: Driver, connection: DriverConnection, status: number): void {
  const item = connection.disconnect;
  if (item === null) return;
  connection.disconnect = null;
  connection.disconnectStatus = null;
  finish(connection, item, status, null);
  giveDisconnect(driver, item.list, status);
}

function giveDisconnect(driver: Driver, list: NetBufferList, status: number): void {
  list.next = null;
  list.status = status;
  driver.hasIndicated = true;
  driver.ndis.tcpOffloadDisconnectComplete(driver.handle, list);
}

/** The NIC half will say no more of the parts of a connection: their memory is free, its lists as far as they are. */
export function releaseParts(driver: Driver, connection: DriverConnection): void {
  driver.parts.forEach((part, number) => {
    if (part.connection !== connection) return;
    const { list, item } = part;
    driver.freePart(number);
    if (item !== null) item.partsOut--;
    if (list === null) return;
    list.status = NdisStatus.UPLOAD_IN_PROGRESS;
    connection.unforwarded.push(list);
    connection.forwardsOut--;
  });
}

/** Completes the sends of which every byte is acknowledged. */
export function completeAcked(driver: Driver, connection: DriverConnection): void {
  const done = new Completion();
  for (let item = connection.firstItem; item !== null; ) {
    const { next } = item;
    let left = -item.acked;
    for (let nb = item.list.firstNetBuffer; nb !== null; nb = nb.next) left += nb.dataLength;
    if (left > 0 || item.isDisconnect) break;
    if (item.acked > 0) finish(connection, item, NdisStatus.SUCCESS, done);
    item = next;
  }
  complete(driver, done);
}

/**
 * Everything that is left when the connection goes up: the chain of unfinished sends in their order, or null. The graceful
 * disconnect is completed; sends behind one that was given back are given back, too.
 */
export function takeUnfinished(driver: Driver, connection: DriverConnection): NetBufferList | null {
  const chain = new Completion();
  const returned = new Completion();
  while (connection.firstItem !== null) {
    const item = connection.firstItem;
    if (item.isDisconnect) {
      completeDisconnect(driver, connection, connection.disconnectStatus ?? NdisStatus.UPLOAD_IN_PROGRESS);
      continue;
    }
    const isBack = item.isReturned || (connection.areSendsReturned && item.parts === 0);
    finish(connection, item, isBack ? NdisStatus.UPLOAD_IN_PROGRESS : NdisStatus.SUCCESS, isBack ? returned : chain);
  }
  complete(driver, returned);
  return chain.first;
}

/** The connection is dead and nobody below will say so: all of it comes back with `status`. */
export function abortAll(driver: Driver, connection: DriverConnection, status: number): void {
  const done = new Completion();
  let item = connection.firstItem;
  while (item !== null) {
    const { next } = item;
    if (!item.isDisconnect) finish(connection, item, status, done);
    item = next;
  }
  complete(driver, done);
  completeDisconnect(driver, connection, status);
  for (const list of connection.aborts.splice(0)) {
    list.tcpOffloadBytesTransferred = 0;
    giveDisconnect(driver, list, status);
  }
}

/** MiniportTcpOffloadForward: each segment into shared memory. One for which there is no room is lost, as on a wire. */
export function postForwards(driver: Driver, connection: DriverConnection, lists: NetBufferList): void {
  let list: NetBufferList | null = lists;
  while (list !== null) {
    const next: NetBufferList | null = list.next;
    list.next = null;
    forward(driver, connection, list);
    list = next;
  }
}

function forward(driver: Driver, connection: DriverConnection, list: NetBufferList): void {
  const item = new SendItem(list, false);
  skipEmpty(item);
  const length = bytesLeft(item);
  if (connection.isTerminating || driver.isDead || length > driver.sendPool.freeBytes) {
    list.status = connection.isTerminating || driver.isDead ? NdisStatus.UPLOAD_IN_PROGRESS : NdisStatus.SUCCESS;
    connection.unforwarded.push(list);
    driver.markSoon(connection, Due.FORWARD);
    return;
  }
  const number = driver.newPart();
  const part = driver.parts[number]!;
  for (let left = length; left > 0; skipEmpty(item)) left -= copyRun(driver, part, item, left);
  part.connection = connection;
  part.list = list;
  connection.forwardsOut++;
  writePart(driver, part, number, connection, Down.FORWARD);
}

/** Forwarded segments came back. `next` reads them: number, status. */
export function forwarded(driver: Driver, connection: DriverConnection, count: number, next: () => number): void {
  const done = new Completion();
  for (let i = 0; i < count; i++) {
    const number = next();
    const list = driver.parts[number]!.list!;
    driver.freePart(number);
    connection.forwardsOut--;
    list.status = next();
    done.add(list);
  }
  driver.hasIndicated = true;
  driver.ndis.tcpOffloadForwardComplete(driver.handle, done.first!);
}

/** Those that were not forwarded come back. */
export function giveForwards(driver: Driver, connection: DriverConnection): void {
  while (connection.unforwarded.length > 0) {
    const list = connection.unforwarded.shift()!;
    driver.hasIndicated = true;
    driver.ndis.tcpOffloadForwardComplete(driver.handle, list);
  }
}
