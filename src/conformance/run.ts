/**
 * One run: a subject is seated, a scenario is played with the choices of a chooser, and everything is taken apart again.
 *
 * A run is a pure function of subject, scenario, seed and choices. It ends with the first finding, or when the actors have done
 * their steps and everything that is below has come back.
 */

import type { Runtime } from '../base/runtime.ts';
import { type Finding, rulesOf } from '../contract/finding.ts';
import { Propagation } from '../contract/propagation.ts';
import { Verifier } from '../contract/verifier.ts';
import type { Link } from '../link/link.ts';
import type { MiniportDriver } from '../ndis/miniport.ts';
import { NdisLibrary } from '../ndis/ndis-library.ts';
import type { NdisForProtocol } from '../ndis/protocol.ts';
import { type PacketTap, Trace } from '../trace/trace.ts';
import type { Chooser } from './choices.ts';
import { ModelHost } from './model-host.ts';
import { ModelConnection, type ModelObject } from './objects.ts';
import { OWN_RULES, type OwnRule } from './own-rules.ts';
import { ModelWire } from './peer.ts';
import { type Actors, type Scenario, Stage, type Step } from './stage.ts';
import { SteppedRuntime } from './stepped-runtime.ts';
import { TraceDigest } from './trace-digest.ts';
import { levelOfFrames, type RuleComplaint, WireWatch } from './wire-watch.ts';

/** What a target is made from; the same as for `createStack`. */
export interface TargetEnvironment {
  readonly link: Link;
  readonly name: string;
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly packetTap: PacketTap | null;
}
export type TargetFactory = (environment: TargetEnvironment) => MiniportDriver;

/** What an intermediate driver is made from; the same as for `createStack`. */
export interface DriverEnvironment {
  readonly ndis: NdisForProtocol;
  readonly runtime: Runtime;
  readonly trace: Trace;
}
export type DriverFactory = (environment: DriverEnvironment, adapterBelow: string, name: string) => MiniportDriver;

/** What is examined: a target; or drivers, from the target upward, over a target that is known to be good. */
export interface Subject {
  readonly target: TargetFactory;
  readonly drivers?: readonly DriverFactory[];
  /** Whether both doors of each driver are compared. Default true; false: the drivers stand for a host, and do what they like. */
  readonly comparesDoors?: boolean;
}

/** What a run found. */
export interface RunResult {
  readonly findings: readonly Finding[];
  /** Steps taken. */
  readonly steps: number;
  /** A digest of everything that passed at the upper door and on the wire, in its order. */
  readonly digest: number;
  /** The steps by name, where they were asked for. */
  readonly names: readonly string[];
  /** The target says that it has no chimney: nothing was offloaded. */
  readonly hasNoChimney: boolean;
}

/** How a run is made. */
export interface RunOptions {
  readonly seed: number | string;
  /** Whether the steps' names are wanted. */
  readonly isNarrated?: boolean;
  /** Whether rules that say should are reported. Default true. */
  readonly shoulds?: boolean;
  /** Sees every packet. */
  readonly packetTap?: PacketTap | null;
  /** Findings about other rules are passed over. */
  readonly rules?: ReadonlySet<string>;
}

/** Bounds of a run: steps, timers fired, and rounds of clearing up. */
const STEPS_MAX = 5_000;
const TIMERS_MAX = 60;
const ROUNDS_MAX = 200;

/** Plays a scenario. */
export function runScenario(subject: Subject, scenario: Scenario, chooser: Chooser, options: RunOptions): RunResult {
  return new Run(subject, scenario, chooser, options).play();
}

class Run {
  readonly #scenario: Scenario;
  readonly #chooser: Chooser;
  readonly #options: RunOptions;
  readonly #runtime: SteppedRuntime;
  readonly #ndis: NdisLibrary;
  readonly #wire: ModelWire;
  readonly #host: ModelHost;
  readonly #stage: Stage;
  readonly #watch: WireWatch;
  readonly #verifiers: Verifier[] = [];
  readonly #digest = new TraceDigest();
  readonly #findings: Finding[] = [];
  readonly #names: string[] = [];
  #steps = 0;
  #timers = 0;
  #top = '';
  #hasNoChimney = false;

  constructor(subject: Subject, scenario: Scenario, chooser: Chooser, options: RunOptions) {
    this.#scenario = scenario;
    this.#chooser = chooser;
    this.#options = options;
    this.#runtime = new SteppedRuntime(options.seed);
    const trace = new Trace(16);
    this.#ndis = new NdisLibrary(this.#runtime, trace);
    this.#wire = new ModelWire('nic', (peer, expected, seen) =>
      this.#report('WIRE', `the peer at port ${peer.tuple.remotePort}`, expected, seen),
    );
    this.#wire.onFrame = (isToTarget, bytes) => {
      this.#digest.frame(isToTarget, bytes);
      if (!isToTarget) this.#watch.sent(bytes);
    };
    this.#host = new ModelHost(this.#ndis, (c, expected, seen) => this.#report('BYTES', c.name, expected, seen));
    // Where drivers stand between, frames may be lost, changed or kept on purpose.
    const isBare = (subject.drivers ?? []).length === 0;
    const complain: RuleComplaint = (rules, object, expected, seen) =>
      isBare && this.#reportRules(rules, object, expected, seen);
    this.#host.complainOf = complain;
    this.#watch = new WireWatch(this.#host.connections, this.#wire.macAddress, complain);
    this.#host.cameUp = (frame) => this.#watch.cameUp(frame);
    const awaits = this.#watch.awaits.bind(this.#watch);
    this.#stage = new Stage({ host: this.#host, wire: this.#wire, findings: this.#findings, awaits });
    this.#guard(() => this.#seat(subject, trace));
  }

  #seat(subject: Subject, trace: Trace): void {
    const runtime = this.#runtime;
    const packetTap = this.#options.packetTap ?? null;
    const target = subject.target({ link: this.#wire, name: 'nic', runtime, trace, packetTap });
    this.#top = this.#ndis.registerAdapter(target);
    this.#verify(this.#top);
    (subject.drivers ?? []).forEach((make, i) => {
      const below = this.#top;
      const driver = make({ ndis: this.#ndis, runtime, trace }, this.#top, `driver${i + 1}`);
      this.#top = this.#ndis.registerAdapter(driver);
      this.#verify(this.#top);
      if (subject.comparesDoors !== false) this.#watchPassage(below, this.#top);
    });
    this.#ndis.attachTap(this.#top, this.#digest);
    this.#host.binding = this.#ndis.openAdapterEx(this.#host, null, this.#top);
    if (!target.hasChimney) this.#hasNoChimney = true;
  }

  /** The last two verifiers sit on either side of a driver. */
  #watchPassage(adapterBelow: string, adapter: string): void {
    const [below, above] = this.#verifiers.slice(-2) as [Verifier, Verifier];
    const passage = new Propagation(above, below);
    this.#ndis.attachTap(adapterBelow, passage.belowTap);
    this.#ndis.attachTap(adapter, passage.aboveTap);
  }

  #verify(adapter: string): void {
    const verifier = new Verifier({
      onFinding: (finding) => this.#add(finding),
      shoulds: this.#options.shoulds ?? true,
      maxFindings: 0,
      nowUs: () => this.#runtime.nowUs(),
    });
    this.#verifiers.push(verifier);
    this.#ndis.attachTap(adapter, verifier);
  }

  #add(finding: Finding): void {
    const { rules } = this.#options;
    if (rules === undefined || rulesOf(finding).some((rule) => rules.has(rule))) this.#findings.push(finding);
  }

  #report(rule: OwnRule, object: string, expected: string, seen: string): void {
    // What follows from a broken rule is not a second finding.
    if (this.#isOver) return;
    const call = this.#names.at(-1) ?? this.#scenario.name;
    this.#add({
      rule,
      also: [],
      level: 'must',
      actor: 'target',
      adapter: this.#top,
      call,
      object,
      expected,
      seen,
      lastCalls: [],
    });
  }

  /** A rule that shows on the wire is broken. */
  #reportRules(rules: readonly string[], object: string, expected: string, seen: string): void {
    const level = levelOfFrames(rules);
    const [rule, ...also] = rules;
    if (this.#isOver || rule === undefined || (level === 'should' && this.#options.shoulds === false)) return;
    const call = this.#names.at(-1) ?? this.#scenario.name;
    const who = { actor: 'target' as const, adapter: this.#top, call, object };
    this.#add({ rule, also, level, ...who, expected, seen, lastCalls: [] });
  }

  /** Runs something of which anything may be thrown. What follows from a finding is not a second one. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (this.#findings.length > 0) return;
      const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      this.#report('THROWN', '-', OWN_RULES.THROWN, text);
    }
  }

  get #isOver(): boolean {
    return this.#findings.length > 0;
  }

  play(): RunResult {
    if (!this.#isOver && !this.#hasNoChimney) {
      this.#guard(() => this.#enable());
      let actors: Actors = [];
      this.#guard(() => {
        actors = this.#scenario.build(this.#stage);
      });
      if (!this.#isOver) this.#playActors(actors);
      if (!this.#isOver) this.#guard(() => this.#clearUp());
    }
    for (const verifier of this.#verifiers) {
      if (!this.#isOver && verifier.failures.length > 0)
        this.#report('VERIFIER', '-', OWN_RULES.VERIFIER, verifier.failures[0]!);
    }
    return {
      findings: this.#findings,
      steps: this.#steps,
      digest: this.#digest.value,
      names: this.#names,
      hasNoChimney: this.#hasNoChimney,
    };
  }

  #enable(): void {
    this.#stage.host.needsQuery = true;
    this.#stage.askAgain();
    this.#stage.enable();
    while (this.#runtime.hasTask && !this.#isOver) this.#runtime.runTask();
  }

  #playActors(actors: Actors): void {
    const at = actors.map(() => 0);
    const options: (() => void)[] = [];
    const names: string[] = [];
    for (; this.#steps < STEPS_MAX && !this.#isOver; this.#steps++) {
      options.length = 0;
      names.length = 0;
      this.#gather(actors, at, options, names);
      if (options.length === 0) {
        if (actors.every((steps, i) => at[i]! >= steps.length)) return;
        if (!this.#fireTimer()) {
          for (const verifier of this.#verifiers) verifier.finish();
          if (this.#isOver) return;
          const waiting = actors.flatMap((steps, i) => (at[i]! < steps.length ? [steps[at[i]!]!.name] : []));
          this.#report('STUCK', '-', OWN_RULES.STUCK, `waiting for ever: ${waiting.join('; ')}`);
          return;
        }
        continue;
      }
      const choice = options.length === 1 ? 0 : this.#chooser.choose(options.length);
      if (this.#options.isNarrated) this.#names.push(names[choice]!);
      this.#guard(options[choice]!);
    }
  }

  /** What could happen now: the first is what happens where nobody chooses otherwise. */
  #gather(actors: Actors, at: number[], options: (() => void)[], names: string[]): void {
    const add = (name: string, act: () => void): void => {
      options.push(act);
      names.push(name);
    };
    const { isLazy } = this.#scenario;
    if (this.#runtime.hasTask && isLazy !== true) add('task', () => this.#runtime.runTask());
    const frames = this.#wire.toTarget.length;
    if (frames > 0) add('frame', () => this.#wire.deliver(0));
    actors.forEach((steps, i) => {
      const step = steps[at[i]!];
      if (step === undefined || !step.isReady()) return;
      add(step.name, () => {
        at[i]!++;
        step.act();
      });
    });
    for (const c of this.#host.connections) {
      if (!c.isWanted || !c.isIdle) continue;
      add(`terminate ${c.name}, as asked`, () => this.#stage.terminateNow([c]));
    }
    for (const c of this.#host.connections) {
      if (c.late.length > 0 && c.where === 'target') add(`forward ${c.name}`, () => this.#stage.forwardNow(c));
    }
    if (this.#runtime.hasTask && isLazy === true) add('task', () => this.#runtime.runTask());
    if (frames > 1 && this.#scenario.reorders) add('next frame', () => this.#wire.deliver(1));
    if (this.#scenario.races && this.#runtime.soonestUs < Number.POSITIVE_INFINITY && this.#timers < TIMERS_MAX) {
      add('timer', () => this.#fireTimer());
    }
  }

  #fireTimer(): boolean {
    if (this.#timers >= TIMERS_MAX || this.#runtime.soonestUs === Number.POSITIVE_INFINITY) return false;
    this.#timers++;
    if (this.#options.isNarrated) this.#names.push('timer');
    this.#guard(() => this.#runtime.fireTimer());
    return true;
  }

  /** Everything comes back: connections, then paths, then neighbors; lists; the binding is closed. */
  #clearUp(): void {
    const { objects } = this.#host;
    const rest: readonly ((object: ModelObject) => boolean)[] = [
      (object) => object instanceof ModelConnection,
      (object) => object.layer === 1,
      (object) => object.layer === 0,
    ];
    for (const isMeant of rest) {
      const isBack = (): boolean => objects.every((object) => !isMeant(object) || object.where === 'host');
      for (let round = 0; round < ROUNDS_MAX && !this.#isOver && !isBack(); round++) {
        for (const object of objects) {
          if (isMeant(object) && object.isIdle && object.dependents === 0) this.#stage.terminateNow([object]);
        }
        if (!this.#settle() && !isBack() && !this.#fireTimer()) break;
      }
    }
    if (this.#isOver) return;
    this.#host.returnAll();
    this.#settle();
    this.#watch.finish();
    for (const verifier of this.#verifiers) verifier.finish();
    if (this.#isOver) return;
    const left = objects.filter(({ where }) => where !== 'host').map(({ name }) => name);
    if (left.length > 0) this.#report('STUCK', '-', OWN_RULES.STUCK, `still below: ${left.join(', ')}`);
    this.#close();
  }

  #close(): void {
    let isClosed = false;
    this.#ndis.closeAdapterEx(this.#host.binding, () => {
      isClosed = true;
    });
    this.#settle();
    if (!isClosed && !this.#isOver) this.#report('STUCK', '-', OWN_RULES.STUCK, 'the adapter does not close');
  }

  /** Runs tasks and frames until there are none. Answers whether there was any. */
  #settle(): boolean {
    let isAny = false;
    for (let i = 0; i < STEPS_MAX && !this.#isOver; i++) {
      if (this.#runtime.hasTask) this.#runtime.runTask();
      else if (this.#wire.toTarget.length > 0) this.#wire.deliver(0);
      else break;
      isAny = true;
    }
    return isAny;
  }
}

export type { Step };
