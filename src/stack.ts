/**
 * A whole stack in one object: host stack above, targets below, drivers and verifiers between, sockets on top.
 *
 * The only file that sees both ends of the chimney. It joins and takes apart; it decides nothing. Closing is orderly: what is
 * offloaded comes back first, connections end, bindings close once every buffer is back, adapters halt from the top down.
 */

import type { Runtime } from './base/runtime.ts';
import type { Finding } from './contract/finding.ts';
import type { Verifier } from './contract/verifier.ts';
import { type AdapterControl, type AdapterLife, addStatistics, type StackStatistics } from './host/adapter-control.ts';
import type { ChimneyHandle, Move, Transports } from './host/api.ts';
import { HostStack } from './host/host-stack.ts';
import type { IntermediateDriver } from './im/intermediate-driver.ts';
import { Team } from './im/team.ts';
import type { Link } from './link/link.ts';
import type { MiniportDriver } from './ndis/miniport.ts';
import { NdisLibrary } from './ndis/ndis-library.ts';
import { OperationTrace } from './ndis/operation-trace.ts';
import { DEFAULT_OFFLOAD_PARAMETERS } from './ndis/parameters.ts';
import { SystemRuntime } from './runtime.ts';
import { createNet, type StackDgram, type StackNet } from './socket/net.ts';
import { makeIntermediate } from './stack-drivers.ts';
import {
  adapterNameOf,
  checkStackOptions,
  type LinkChoice,
  StackOptionError,
  type StackOptions,
  type TargetChoice,
  type TargetEnvironment,
} from './stack-options.ts';
import { makeVerifier } from './stack-verifier.ts';
import type { TargetControl } from './target/engine/control.ts';
import { EngineAdapter } from './target/engine/engine-adapter.ts';
import { PlainAdapter } from './target/plain/plain-adapter.ts';
import type { EventName } from './trace/events.ts';
import { Trace } from './trace/trace.ts';

/** A target that an operator can make do things: the engine target, the worker target. */
export type ControlledTarget = MiniportDriver & { readonly control: TargetControl };

function isControlled(driver: MiniportDriver): driver is ControlledTarget {
  return 'control' in driver && typeof (driver.control as Partial<TargetControl> | null)?.held === 'function';
}

/** What a stack still holds of others' or has given to others; all zero when everything is back where it belongs. */
export interface Held {
  /** Received lists that the host has not returned, send lists that targets have not completed. */
  readonly buffers: number;
  /** Neighbor, path and TCP objects offloaded. */
  readonly stateObjects: number;
  /** TCP connections in any state but TIME-WAIT. */
  readonly connections: number;
}

/** MiniportCheckForHangEx is called, and requests are looked at, so often: as rarely as nobody minds waiting for twice. */
const CHECK_FOR_HANG_US = 5_000_000;

/** A running stack. */
export class Stack {
  /** node:net's shape: createServer, connect, Server, Socket. */
  readonly net: StackNet;
  /** node:dgram's shape. */
  readonly dgram: StackDgram;
  readonly runtime: Runtime;
  readonly trace: Trace;
  /** What the verifiers found, oldest first; bounded to 10,000. Empty without `verify`. */
  readonly findings: Finding[] = [];
  /** The host stack itself, for tools and tests. */
  readonly host: HostStack;
  readonly ndis: NdisLibrary;
  /** The drivers at the bottom, by name of their link's adapter. */
  readonly targets: ReadonlyMap<string, MiniportDriver>;
  readonly #drivers: Map<string, IntermediateDriver> = new Map();
  readonly #topAdapters: string[][] = [];
  readonly #adapters: Map<string, AdapterControl> = new Map();
  readonly #moveListeners: Set<(move: Move, connection: ChimneyHandle) => void> = new Set();
  #isHeld = false;
  #closing: Promise<void> | null = null;

  constructor(options: StackOptions) {
    checkStackOptions(options);
    this.runtime = options.runtime ?? new SystemRuntime();
    this.trace = new Trace();
    this.ndis = new NdisLibrary(this.runtime, this.trace, options.checkForHangUs ?? CHECK_FOR_HANG_US);
    this.host = new HostStack(this.runtime, this.trace, this.ndis, {
      ...(options.tcp === undefined ? {} : { tcp: options.tcp }),
      ...(options.policy === undefined ? {} : { policy: options.policy }),
      ...(options.grantsOptionalUploads === undefined ? {} : { grantsOptionalUploads: options.grantsOptionalUploads }),
      offloadsAgain: options.offloadsAgain ?? false,
      ...(options.takeBack === undefined ? {} : { takeBack: options.takeBack }),
      offloadParameters: { ...DEFAULT_OFFLOAD_PARAMETERS, ...options.offloadParameters },
      onMove: (connection, move) => {
        for (const listener of this.#moveListeners) listener(move, connection.endpoint.chimney);
      },
    });
    const targets = new Map<string, MiniportDriver>();
    try {
      for (const [i, link] of options.links.entries()) this.#addLink(link, i, options, targets);
    } catch (error) {
      void this.#undo().catch(() => undefined);
      throw error;
    }
    this.targets = targets;
    const copy = options.links.find((link) => link.copy !== undefined)?.copy;
    const sendMemory = options.links.find((link) => link.sendMemory !== undefined)?.sendMemory;
    this.net = createNet(this.host, {
      ...(this.runtime instanceof SystemRuntime ? { keepAlive: this.runtime } : {}),
      ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
      ...(copy === undefined ? {} : { copy }),
      ...(sendMemory === undefined ? {} : { sendMemory }),
    });
    this.dgram = this.net.dgram;
  }

  /** A stack that could not be made leaves no device open and no thread behind. */
  async #undo(): Promise<void> {
    await this.host.close();
    for (const adapter of [...this.ndis.adapterNames].reverse()) await this.ndis.haltAdapter(adapter);
  }

  #addLink(entry: LinkChoice, index: number, options: StackOptions, targets: Map<string, MiniportDriver>): void {
    const { runtime, trace, ndis } = this;
    const name = adapterNameOf(entry);
    const packetTap = entry.capture ?? null;
    const { vlanId } = entry;
    const seatTarget = (parts: { link: Link; name: string; macAddress?: Uint8Array }, choice: TargetChoice): string => {
      if (vlanId !== undefined) parts.link.setVlan?.(vlanId);
      const target = makeTarget(choice, { ...parts, runtime, trace, packetTap });
      if (typeof (target as MiniportDriver | null)?.attributes?.name !== 'string') {
        throw new StackOptionError(`links[${index}].target`, 'a function that makes a miniport driver', target);
      }
      targets.set(parts.name, target);
      return ndis.registerAdapter(target);
    };
    const adapters: string[] = [];
    let bottoms: readonly string[] = [];
    if (entry.team === undefined) {
      adapters.push(seatTarget({ link: entry.link, name }, entry.target ?? targetOf(options, index)));
      bottoms = [...adapters];
    } else {
      const { members, ...teamOptions } = entry.team;
      let macAddress: Uint8Array | undefined;
      for (const { link, name: own, target } of members) {
        const parts = { link, name: own ?? link.name, ...(macAddress === undefined ? {} : { macAddress }) };
        adapters.push(seatTarget(parts, target ?? targetOf(options, index)));
        macAddress ??= targets.get(parts.name)!.attributes.macAddress;
      }
      bottoms = [...adapters];
      const team = new Team({ ndis, runtime, trace }, adapters, { ...teamOptions, name });
      this.#drivers.set(team.name, team);
      adapters.unshift(ndis.registerAdapter(team));
    }
    (entry.intermediates ?? []).forEach((make, level) => {
      const driver = makeIntermediate(make, { ndis, runtime, trace }, adapters[0]!, name, level + 1);
      if (typeof (driver as IntermediateDriver | null)?.name !== 'string') {
        const expected = 'a function that makes an intermediate driver';
        throw new StackOptionError(`links[${index}].intermediates[${level}]`, expected, driver);
      }
      this.#drivers.set(driver.name, driver);
      adapters.unshift(ndis.registerAdapter(driver));
    });
    const { verify } = options;
    if (verify !== undefined && verify !== false) {
      this.#seatVerifiers(verify, adapters, (entry.intermediates ?? []).length);
    }
    // Operations are recorded where the host makes them: once, whatever stands between.
    if (packetTap !== null) ndis.attachTap(adapters[0]!, new OperationTrace(packetTap, () => runtime.nowUs()));
    this.#topAdapters.push(adapters);
    const { name: _name, intermediates: _drivers, capture: _tap, ...rest } = entry;
    const { link: _link, target: _target, team: _team, ...config } = rest;
    const iface = this.host.attachInterface(adapters[0]!, config);
    this.#adapters.set(name, this.host.adapterControl(iface, lifeOf(ndis, bottoms)));
  }

  /** A verifier at every adapter, the top one first; and one that compares both doors of each of so many drivers. */
  #seatVerifiers(verify: true | ((finding: Finding) => void), adapters: readonly string[], drivers: number): void {
    const verifiers = adapters.map((adapter) => {
      const verifier = this.#verifier(verify);
      this.ndis.attachTap(adapter, verifier);
      return verifier;
    });
    for (let i = 0; i < drivers; i++) {
      const passage = verifiers[i]!.compareWith(verifiers[i + 1]!);
      this.ndis.attachTap(adapters[i]!, passage.aboveTap);
      this.ndis.attachTap(adapters[i + 1]!, passage.belowTap);
    }
  }

  #verifier(verify: true | ((finding: Finding) => void)): Verifier {
    return makeVerifier({
      nowUs: () => this.runtime.nowUs(),
      onFinding: (finding) => {
        if (this.findings.length < FINDINGS_KEPT) this.findings.push(finding);
        if (verify !== true) verify(finding);
      },
    });
  }

  /**
   * Callbacks instead of streams: the same transports, without any object of Node's. Whoever asks for them keeps the process
   * alive until the stack is closed; sockets and servers of `net` do so only while they are open.
   */
  get transports(): Transports {
    if (!this.#isHeld && this.runtime instanceof SystemRuntime) this.runtime.ref();
    this.#isHeld = true;
    return this.host;
  }

  /** Calls `listener` with every finished move; answers a function that stops it. */
  onMove(listener: (move: Move, connection: ChimneyHandle) => void): () => void {
    this.#moveListeners.add(listener);
    return () => this.#moveListeners.delete(listener);
  }

  /** The chimney control of an engine or worker target, by adapter name: pause, resume, retrieve, upload all, capacity. */
  target(adapterName: string): ControlledTarget {
    const driver = this.targets.get(adapterName);
    if (driver !== undefined && isControlled(driver)) return driver;
    throw new Error(
      driver === undefined
        ? `there is no adapter '${adapterName}': expected one of ${[...this.targets.keys()].join(', ')}`
        : `adapter '${adapterName}' has no target with a control`,
    );
  }

  /**
   * The driver between host and target that is of a class (`stack.driver(Filter)`); `name` tells one of several. Throws when there
   * is none.
   */
  driver<Driver extends IntermediateDriver>(type: abstract new (...args: never[]) => Driver, name?: string): Driver {
    for (const [its, driver] of this.#drivers) {
      if (driver instanceof type && (name === undefined || name === its)) return driver;
    }
    throw new Error(`there is no ${type.name}${name === undefined ? '' : ` named '${name}'`} in this stack`);
  }

  /**
   * IP and TCP statistics of the whole stack: its own path and all targets added up, so that an offload changes nothing in them
   * (STAT-031). Adapters without statistics add nothing.
   */
  async statistics(): Promise<StackStatistics> {
    const parts = [this.host.statistics()];
    for (const adapter of this.#adapters.values()) {
      const part = await adapter.statistics().catch(() => null);
      if (part !== null) parts.push(part);
    }
    return addStatistics(parts);
  }

  /** The administrator's view of an adapter, by its name: capabilities, tunables, statistics, sleep and wake. Any target. */
  adapter(adapterName: string): AdapterControl {
    const control = this.#adapters.get(adapterName);
    if (control !== undefined) return control;
    throw new Error(`there is no adapter '${adapterName}': expected one of ${[...this.#adapters.keys()].join(', ')}`);
  }

  /** Counters of every event that happened, by name. */
  counters(): Partial<Record<EventName, number>> {
    return this.trace.counters();
  }

  held(): Held {
    const offloaded = this.host.chimney.held();
    let buffers = this.ndis.listsHeld + this.host.tcp.writes.outstanding;
    let stateObjects = offloaded.connections + offloaded.paths + offloaded.neighbors;
    for (const target of this.targets.values()) {
      if (!isControlled(target)) continue;
      const held = target.control.held();
      buffers += held.indicatedLists;
      // Whatever the target still has although the host does not know of it is a leak as well.
      stateObjects = Math.max(stateObjects, held.tcpObjects + held.pathObjects + held.neighborObjects);
    }
    return { buffers, stateObjects, connections: this.host.tcp.connectionCount - this.host.tcp.resting.timeWaitCount };
  }

  /** Ends everything in good order. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.net.closeAll();
    await this.host.close();
    for (const adapter of this.#topAdapters.flat()) {
      // One whose device has gone was halted when that happened.
      if (this.ndis.adapterNames.includes(adapter)) await this.ndis.haltAdapter(adapter);
    }
    if (this.#isHeld && this.runtime instanceof SystemRuntime) this.runtime.unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const FINDINGS_KEPT = 10_000;

/** Makes a stack. Throws {@link StackOptionError} on wrong options. */
export function createStack(options: StackOptions): Stack {
  return new Stack(options);
}

/** Pause, restart, reset and removal of an adapter: of its devices, however many there are. */
function lifeOf(ndis: NdisLibrary, bottoms: readonly string[]): AdapterLife {
  const all = async (step: (adapter: string) => Promise<void>): Promise<void> => {
    await Promise.all(bottoms.map(step));
  };
  return {
    pause: () => all((bottom) => ndis.pauseAdapter(bottom)),
    restart: () => all((bottom) => ndis.restartAdapter(bottom)),
    reset: () => all((bottom) => ndis.resetAdapter(bottom)),
    remove: () => all((bottom) => ndis.removeAdapter(bottom)),
  };
}

/** The target of link number `index` where it does not name its own. */
function targetOf(options: StackOptions, index: number): TargetChoice {
  const { targets } = options;
  if (Array.isArray(targets)) return (targets[index] as TargetChoice | undefined) ?? 'engine';
  return (targets as TargetChoice | undefined) ?? 'engine';
}

function makeTarget(choice: TargetChoice, parts: TargetEnvironment): MiniportDriver {
  if (typeof choice === 'function') return choice(parts);
  const kind = typeof choice === 'string' ? choice : choice.kind;
  if (kind === 'plain') return new PlainAdapter(parts);
  const { kind: _kind, ...own } = typeof choice === 'string' ? { kind } : choice;
  return new EngineAdapter({ ...parts, ...own });
}
