/**
 * What an operator can make the worker target do, and see of it: the engine target's control, by way of the rings.
 */

import { NdisOffloadHandle, NdisStatus } from '../../ndis/miniport.ts';
import { TcpConnectionState } from '../../state/tcp.ts';
import { tcpStateName } from '../../tcp/names.ts';
import { formatIp } from '../../wire/ip-address.ts';
import type { Capacity } from '../engine/capacity.ts';
import { changeConfiguration } from '../engine/configuration.ts';
import { Standing } from '../engine/contexts.ts';
import type { EngineStatistics, Held, OffloadedConnection, TargetControl, Which } from '../engine/control.ts';
import { OperationKind } from '../engine/engine.ts';
import type { Driver } from './driver.ts';
import type { DriverConnection, SendItem } from './driver-objects.ts';
import { FAILURES, type Failure } from './failing.ts';
import { Down, Wish } from './records.ts';

/** The control object of a worker target. */
export class WorkerControl implements TargetControl {
  readonly #of: () => Driver;
  readonly #waitingFrames: () => number;
  readonly #listsOut: () => number;
  /** The operator wants nothing to be offloaded: also if the NIC half is another by then. */
  isPaused = false;
  /** How often a NIC half that had died was replaced by a new one. */
  restarts = 0;

  /** `driver`: the one in use. The others count what waits and what the host holds. */
  constructor(driver: () => Driver, waitingFrames: () => number, listsOut: () => number) {
    this.#of = driver;
    this.#waitingFrames = waitingFrames;
    this.#listsOut = listsOut;
  }

  get #driver(): Driver {
    return this.#of();
  }

  retrieve(which: Which, reason: number): number {
    let count = 0;
    for (const connection of this.#driver.connections()) {
      if (!isMeant(connection, which) || connection.standing !== Standing.NORMAL) continue;
      if (connection.disconnect !== null || connection.isFinReceived) continue;
      this.#driver.out.say(Down.WISH, Wish.RETRIEVE, connection.id, reason);
      count++;
    }
    return count;
  }

  uploadAll(): void {
    this.isPaused = true;
    this.#driver.out.say(Down.WISH, Wish.UPLOAD_ALL);
  }

  pause(): void {
    this.isPaused = true;
    // The NIC half hears of it when it is indicated: initiates that were before it are carried out first.
    this.#driver.enqueue(OperationKind.STATUS, null, NdisStatus.OFFLOAD_PAUSE);
  }

  resume(capacity: Partial<Capacity> = {}): void {
    const driver = this.#driver;
    this.isPaused = false;
    // A pause that nobody has heard of yet was none.
    const untold = driver.statuses.indexOf(NdisStatus.OFFLOAD_PAUSE);
    if (untold >= 0) driver.statuses.splice(untold, 1);
    driver.capacity = { ...driver.capacity, ...capacity };
    this.#wish(Wish.RESUME, capacity);
  }

  setCapacity(capacity: Partial<Capacity>): void {
    const driver = this.#driver;
    changeConfiguration(driver, () => {
      driver.capacity = { ...driver.capacity, ...capacity };
      driver.enqueue(OperationKind.STATUS, null, NdisStatus.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES);
    });
    this.#wish(Wish.CAPACITY, capacity);
  }

  corrupt(which: Which): number {
    let count = 0;
    for (const connection of this.#driver.connections()) {
      if (!isMeant(connection, which)) continue;
      this.#driver.out.say(Down.WISH, Wish.CORRUPT, connection.id);
      count++;
    }
    return count;
  }

  /** Makes the NIC half fail, as one at its end would, to see what becomes of the connections. */
  fail(how: Failure): void {
    this.#driver.out.say(Down.WISH, Wish.FAIL, FAILURES.indexOf(how));
  }

  /** Why the NIC half is dead; empty: it is not. */
  get death(): string {
    return this.#driver.deathMessage;
  }

  /** One queue, in the NIC half. */
  receiveQueues(): number[] {
    return [];
  }

  stats(): EngineStatistics {
    const driver = this.#driver;
    const ip4 = driver.statistics(4);
    const ip6 = driver.statistics(6);
    return {
      ip4: ip4.ip(),
      ip6: ip6.ip(),
      tcp4: ip4.tcp(driver.establishedCount(4)),
      tcp6: ip6.tcp(driver.establishedCount(6)),
    };
  }

  held(): Held {
    const driver = this.#driver;
    let sends = 0;
    let receives = 0;
    let disconnects = 0;
    let forwards = 0;
    for (const connection of driver.connections()) {
      if (connection.firstItem !== null && !connection.firstItem.isDisconnect) sends++;
      if (connection.firstRequest !== null || connection.firstDone !== null) receives++;
      if (connection.disconnect !== null || connection.aborts.length > 0) disconnects++;
      if (connection.forwardsOut > 0) forwards++;
    }
    return {
      tcpObjects: driver.connectionCount,
      pathObjects: driver.pathCount,
      neighborObjects: driver.neighborCount,
      indicatedLists: this.#listsOut(),
      receiveBlocks: driver.pool.blocksHeld + driver.pool.foreignBlocksHeld,
      sends,
      receives,
      disconnects,
      forwards,
      operations: driver.operations.size,
      frames: this.#waitingFrames(),
    };
  }

  connections(): OffloadedConnection[] {
    return [...this.#driver.connections()].map(describe);
  }

  #wish(wish: number, json: unknown): void {
    const { out } = this.#driver;
    out.begin(Down.WISH);
    out.put(wish);
    out.putJson(json);
    out.end();
  }
}

function isMeant(connection: DriverConnection, which: Which): boolean {
  if (which === null) return true;
  return which instanceof NdisOffloadHandle ? connection.handle === which : which(describe(connection));
}

function describe(connection: DriverConnection): OffloadedConnection {
  const { path } = connection;
  const family = path?.family === 6 ? 6 : 4;
  return {
    handle: connection.handle,
    localAddress: path === null ? '' : formatIp(path.source, 0, family),
    localPort: connection.localPort,
    remoteAddress: path === null ? '' : formatIp(path.destination, 0, family),
    remotePort: connection.remotePort,
    state: tcpStateName(stateOf(connection)),
    isStopped: connection.standing !== Standing.NORMAL,
    queuedBytes: queuedBytes(connection),
    bufferedBytes: connection.buffered.length,
    sendBacklogSize: 0,
  };
}

/** As far as it can be told from here. */
function stateOf(connection: DriverConnection): number {
  if (connection.standing === Standing.ABORTED) return TcpConnectionState.CLOSED;
  const isOpen =
    connection.state === TcpConnectionState.ESTABLISHED || connection.state === TcpConnectionState.CLOSE_WAIT;
  if (!isOpen) return connection.state;
  const isClosing = connection.disconnect !== null || !connection.isEstablished;
  if (connection.isFinReceived) return isClosing ? TcpConnectionState.LAST_ACK : TcpConnectionState.CLOSE_WAIT;
  return isClosing ? TcpConnectionState.FIN_WAIT1 : TcpConnectionState.ESTABLISHED;
}

function queuedBytes(connection: DriverConnection): number {
  let bytes = 0;
  for (let item: SendItem | null = connection.firstItem; item !== null; item = item.next) {
    for (let nb = item.list.firstNetBuffer; nb !== null; nb = nb.next) bytes += nb.dataLength;
    bytes -= item.acked;
  }
  return bytes;
}
