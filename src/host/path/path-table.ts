/**
 * The paths: pairs of addresses with the way between them. RFC 4861 calls it the destination cache.
 *
 * Promises: finding a known path allocates nothing; paths in use stay, of the others a bounded number is kept, the least
 * recently used go first; when routes change every path's next hop is determined anew, once, at the end of the turn.
 * Leaves to others: the path MTU (path-mtu.ts).
 */

import { Event } from '../../trace/events.ts';
import { type IpAddress, writeAddressWords } from '../../wire/ip-address.ts';
import type { NeighborCache } from '../framing/neighbor-cache.ts';
import type { IpContext } from './context.ts';
import type { RouteTable } from './routes.ts';
import { type Interface, type NeighborEntry, PathEntry, type PathKeeper } from './types.ts';

/** What happens to paths that others must act on. */
export interface PathEvents {
  /** The age of a lowered MTU is over. */
  mtuAged(path: PathEntry, nowUs: number): void;
  /** The path's MTU has followed that of its interface. */
  mtuFollowed(path: PathEntry): void;
}

export class PathTable implements PathKeeper {
  readonly #context: IpContext;
  readonly #routes: RouteTable;
  readonly #neighbors: NeighborCache;
  readonly #buckets = new Map<number, PathEntry>();
  readonly #words = new Int32Array(8);
  #count = 0;
  /** Paths nobody uses: a list in order of use. */
  #oldest: PathEntry | null = null;
  #newest: PathEntry | null = null;
  #unusedCount = 0;
  #isStale = false;
  events: PathEvents | null = null;

  constructor(context: IpContext, routes: RouteTable, neighbors: NeighborCache) {
    this.#context = context;
    this.#routes = routes;
    this.#neighbors = neighbors;
  }

  get count(): number {
    return this.#count;
  }

  /** The path between the addresses that stand in `bytes`, or null where none is known. */
  find(bytes: Uint8Array, localAt: number, remoteAt: number, family: number): PathEntry | null {
    return this.#findBetween(bytes, localAt, bytes, remoteAt, family);
  }

  /** Likewise by values. */
  findFor(local: IpAddress, remote: IpAddress): PathEntry | null {
    return this.#findBetween(local.bytes, 0, remote.bytes, 0, local.family);
  }

  #findBetween(
    localBytes: Uint8Array,
    localAt: number,
    remoteBytes: Uint8Array,
    remoteAt: number,
    family: number,
  ): PathEntry | null {
    const words = this.#words;
    writeAddressWords(localBytes, localAt, family, words, 0);
    writeAddressWords(remoteBytes, remoteAt, family, words, 4);
    let path = this.#buckets.get(hashOf(words)) ?? null;
    while (path !== null && !isBetween(path, family, words)) path = path.nextInBucket;
    return path;
  }

  /** Adds the path from `local` to `remote` by `iface`; there is none yet. */
  create(iface: Interface, local: IpAddress, remote: IpAddress): PathEntry {
    if (this.#unusedCount >= this.#context.options.unusedPathsMax && this.#oldest !== null) {
      this.#context.trace.count(Event.PATH_TABLE_FULL);
      this.#drop(this.#oldest);
    }
    const path = new PathEntry(this, iface, local, remote);
    // Half the space: the upper half of IPv4 and of IPv6 identifications is the offload target's (chimney SEND-042).
    path.nextId = this.#context.runtime.random.nextUint32() >>> (path.family === 4 ? 17 : 1);
    const hash = this.#hashOfPath(path);
    path.nextInBucket = this.#buckets.get(hash) ?? null;
    this.#buckets.set(hash, path);
    this.#count++;
    this.#link(path);
    this.#determine(path);
    return path;
  }

  used(path: PathEntry): void {
    if (path.isKept) this.#unlink(path);
  }

  unused(path: PathEntry): void {
    if (!path.isKept) return;
    this.#link(path);
    if (this.#unusedCount > this.#context.options.unusedPathsMax && this.#oldest !== null) this.#drop(this.#oldest);
  }

  due(path: PathEntry, nowUs: number): void {
    this.events?.mtuAged(path, nowUs);
  }

  /** Routes or addresses have changed: all next hops are determined anew, soon. RFC 4861 6.3.5. */
  redetermineSoon(): void {
    if (this.#isStale) return;
    this.#isStale = true;
    this.#context.runtime.defer(() => this.#redetermineAll());
  }

  /** All paths, for whoever must look at each (rare). */
  *all(): Generator<PathEntry> {
    for (const first of [...this.#buckets.values()]) {
      for (let path: PathEntry | null = first; path !== null; path = path.nextInBucket) yield path;
    }
  }

  #redetermineAll(): void {
    this.#isStale = false;
    for (const path of this.all()) {
      const oldNeighbor = path.neighbor;
      const oldInterface = path.iface;
      this.#determine(path);
      const isElsewhere = path.neighbor !== oldNeighbor || path.iface !== oldInterface;
      // A link that is down may come up again, the way still the same; that the way is gone must be known to who sends by it.
      if (path.isUp ? isElsewhere : path.iface.isUp) this.#context.observer?.nextHopChanged(path, oldNeighbor);
      this.#followMtu(path);
    }
  }

  /** The first hop's MTU bounds that of the path, and is that of the path where no router on it has said less. RFC 1191 3. */
  #followMtu(path: PathEntry): void {
    const { mtu } = path.iface;
    const wasToldLess = path.mtuUntilUs !== Number.POSITIVE_INFINITY;
    if (path.mtu === mtu || (path.mtu < mtu && wasToldLess)) return;
    path.mtu = mtu;
    this.events?.mtuFollowed(path);
  }

  /** Next-hop determination. RFC 4861 5.2. */
  #determine(path: PathEntry): void {
    if (path.iface.medium === 'loopback') return;
    const isGroup = path.remote.isMulticast || path.remote.isBroadcast;
    const route = isGroup ? null : this.#routeFor(path);
    path.isUp = (isGroup ? path.iface.isUp : route !== null) && this.#isSourceOurs(path);
    if (!path.isUp) return;
    if (route !== null) path.iface = route.iface;
    const { iface } = path;
    if (iface.medium !== 'ethernet') {
      this.#setNeighbor(path, null);
      return;
    }
    const isBroadcast = path.family === 4 && this.#isBroadcast(iface, path.remote);
    if (isGroup || isBroadcast) this.#setNeighbor(path, this.#neighbors.permanentFor(iface, path.remote));
    else {
      const neighbor = this.#neighbors.entryFor(iface, route?.nextHop ?? path.remote);
      // For IPv4 nobody says who is a router; that it is used as one must do.
      if (path.family === 4 && route?.nextHop != null) neighbor.isRouter = true;
      this.#setNeighbor(path, neighbor);
    }
  }

  #routeFor(path: PathEntry): ReturnType<RouteTable['lookup']> {
    const own = this.#ownInterface(path);
    // Link-local addresses mean nothing on another link; others may leave elsewhere (weak host model, RFC 1122 3.3.4.2).
    const bound = path.local.isLinkLocal || path.remote.isLinkLocal ? (own ?? path.iface) : own;
    const route = bound === null ? null : this.#routes.lookup(path.remote, bound);
    if (route !== null || path.local.isLinkLocal || path.remote.isLinkLocal) return route;
    return this.#routes.lookup(path.remote, null);
  }

  #ownInterface(path: PathEntry): Interface | null {
    for (const iface of this.#context.interfaces) {
      for (const entry of iface.addresses) if (entry.isUsable && entry.address.equals(path.local)) return iface;
    }
    return null;
  }

  /** Whether packets may be sent from the path's local address. RFC 1122 3.2.1.3. */
  #isSourceOurs(path: PathEntry): boolean {
    return path.iface.config.forwardAll === true || this.#ownInterface(path) !== null;
  }

  #isBroadcast(iface: Interface, address: IpAddress): boolean {
    if (address.isBroadcast) return true;
    return iface.addresses.some((entry) => entry.prefix.isBroadcastAt(address.bytes, 0) && entry.address.family === 4);
  }

  #setNeighbor(path: PathEntry, neighbor: NeighborEntry | null): void {
    if (path.neighbor === neighbor) return;
    if (path.neighbor !== null) path.neighbor.pathCount--;
    path.neighbor = neighbor;
    if (neighbor !== null) neighbor.pathCount++;
  }

  #hashOfPath(path: PathEntry): number {
    writeAddressWords(path.local.bytes, 0, path.family, this.#words, 0);
    writeAddressWords(path.remote.bytes, 0, path.family, this.#words, 4);
    return hashOf(this.#words);
  }

  #drop(path: PathEntry): void {
    this.#unlink(path);
    const hash = this.#hashOfPath(path);
    const first = this.#buckets.get(hash)!;
    if (first === path) {
      if (path.nextInBucket === null) this.#buckets.delete(hash);
      else this.#buckets.set(hash, path.nextInBucket);
    } else {
      let before = first;
      while (before.nextInBucket !== path) before = before.nextInBucket!;
      before.nextInBucket = path.nextInBucket;
    }
    path.nextInBucket = null;
    this.#count--;
    this.#setNeighbor(path, null);
    path.isUp = false;
    path.isKept = false;
    this.#context.agenda.clear(path);
  }

  #link(path: PathEntry): void {
    path.older = this.#newest;
    path.newer = null;
    if (this.#newest !== null) this.#newest.newer = path;
    else this.#oldest = path;
    this.#newest = path;
    this.#unusedCount++;
  }

  #unlink(path: PathEntry): void {
    if (path.older !== null) path.older.newer = path.newer;
    else this.#oldest = path.newer;
    if (path.newer !== null) path.newer.older = path.older;
    else this.#newest = path.older;
    path.older = null;
    path.newer = null;
    this.#unusedCount--;
  }
}

function hashOf(words: Int32Array): number {
  let hash = 0x9e3779b9 | 0;
  for (let i = 0; i < 8; i++) {
    hash = Math.imul(hash ^ words[i]!, 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  return hash | 0;
}

function isBetween(path: PathEntry, family: number, words: Int32Array): boolean {
  const { localWords, remoteWords } = path;
  return (
    path.family === family &&
    words[0] === localWords[0] &&
    words[1] === localWords[1] &&
    words[2] === localWords[2] &&
    words[3] === localWords[3] &&
    words[4] === remoteWords[0] &&
    words[5] === remoteWords[1] &&
    words[6] === remoteWords[2] &&
    words[7] === remoteWords[3]
  );
}
