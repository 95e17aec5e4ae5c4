/**
 * What is examined: the project's own drivers by name, or whatever a module exports.
 *
 * A module exports a target or an intermediate driver as the factory that `createStack` takes: `export const target`, or
 * `export const driver`, or a default export that is the target's factory or an object with `target` or `driver`.
 */
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Capture, EngineAdapter, Filter, Impair, type MiniportDriver, PassThrough, PlainAdapter, Team } from 'chimney';
import type { DriverFactory, Subject, TargetFactory } from 'chimney/conformance';
import { FAULTS, faulty } from 'chimney/faulty';
import { PairedAdapter } from 'chimney/worker';
import { UsageError } from '../demo/options.ts';

/** A subject and what to call it. */
export interface NamedSubject {
  readonly name: string;
  readonly kind: 'target' | 'driver';
  readonly subject: Subject;
}

const engine: TargetFactory = (environment) => new EngineAdapter(environment);
/** Both halves of it, beside each other: threads would not let themselves be told who goes on next. */
const worker: TargetFactory = (environment) => new PairedAdapter(environment);
const plain: TargetFactory = (environment) => new PlainAdapter(environment);
const passThrough: DriverFactory = (environment, below, name) => new PassThrough(environment, below, { name });
/** A filter that has to look at every frame and connection, and lets pass what the scenarios do. */
const filter: DriverFactory = (environment, below, name) =>
  new Filter(environment, below, { name, rules: [{ action: 'deny', match: 'udp port 9' }] });
const impair: DriverFactory = (environment, below, name) => new Impair(environment, below, { name, offload: 'pass' });
/** A capture that nobody keeps. */
const capture: DriverFactory = (environment, below, name) =>
  new Capture(environment, below, { name, output: { packet() {}, operation() {} } });
/** One member; with two, links that are cut among them, it is examined by the tests (test/im/team-conformance). */
const team: DriverFactory = (environment, below, name) => new Team(environment, [below], { name });

/** What can be named instead of a file. */
const OWN: Readonly<Record<string, NamedSubject>> = {
  engine: { name: 'engine', kind: 'target', subject: { target: engine } },
  worker: { name: 'worker', kind: 'target', subject: { target: worker } },
  plain: { name: 'plain', kind: 'target', subject: { target: plain } },
  'pass-through': driverSubject('pass-through', passThrough),
  filter: driverSubject('filter', filter),
  impair: driverSubject('impair', impair),
  capture: driverSubject('capture', capture),
  team: driverSubject('team', team),
  // Four drivers over each other.
  stack: {
    name: 'stack',
    kind: 'driver',
    subject: { target: engine, drivers: [passThrough, filter, impair, passThrough] },
  },
};

function driverSubject(name: string, driver: DriverFactory): NamedSubject {
  return { name, kind: 'driver', subject: { target: engine, drivers: [driver] } };
}

/** Finds the subject that was named. Throws {@link UsageError}. */
export async function findSubject(text: string): Promise<NamedSubject> {
  const own = OWN[text];
  if (own !== undefined) return own;
  return text.startsWith(FAULTY) ? faultySubject(text) : subjectOf(text, await load(text));
}

/** 'faulty:SEND-017' is a driver that breaks that rule. */
const FAULTY = 'faulty:';

function faultySubject(text: string): NamedSubject {
  const breaks = text.slice(FAULTY.length);
  const fault = FAULTS.find(({ rule }) => rule === breaks);
  if (fault === undefined) throw new UsageError(`${text}: there is no driver that breaks '${breaks}' on purpose`);
  const { target, intermediates } = faulty({ breaks });
  const kind = fault.seat === 'target' ? 'target' : 'driver';
  const comparesDoors = fault.seat !== 'driver';
  return { name: text, kind, subject: { target, drivers: intermediates, comparesDoors } };
}

async function load(text: string): Promise<Readonly<Record<string, unknown>>> {
  const path = resolve(text);
  if (!existsSync(path) || !statSync(path).isFile()) {
    throw new UsageError(
      `${text}: there is no such file; expected a module or one of ${Object.keys(OWN).join(', ')}, faulty:RULE`,
    );
  }
  try {
    return (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new UsageError(`${text}: the module cannot be loaded: ${error instanceof Error ? error.message : error}`);
  }
}

function subjectOf(text: string, module: Readonly<Record<string, unknown>>): NamedSubject {
  const other = module['default'];
  const inner = typeof other === 'object' && other !== null ? (other as Readonly<Record<string, unknown>>) : {};
  const target = module['target'] ?? inner['target'] ?? (typeof other === 'function' ? other : undefined);
  const driver = module['driver'] ?? inner['driver'];
  if (target !== undefined && driver !== undefined) {
    throw new UsageError(`${text}: expected either a target or a driver, got both`);
  }
  if (target === undefined && driver === undefined) {
    const names = Object.keys(module);
    throw new UsageError(
      `${text}: expected an export 'target' or 'driver', or a target's factory as default export; ` +
        `the module exports ${names.length === 0 ? 'nothing' : names.join(', ')}`,
    );
  }
  const [kind, made] = target === undefined ? (['driver', driver] as const) : (['target', target] as const);
  if (typeof made !== 'function') {
    const expected = kind === 'target' ? '(environment) => driver' : '(environment, adapterBelow, name) => driver';
    throw new UsageError(`${text}: ${kind}: expected a function ${expected}, got ${typeof made}`);
  }
  if (kind === 'driver') return driverSubject(text, checked(text, made as DriverFactory));
  return { name: text, kind, subject: { target: checked(text, made as TargetFactory) } };
}

/** What every miniport driver has. */
const METHODS: readonly (keyof MiniportDriver)[] = [
  'initializeEx',
  'haltEx',
  'oidRequest',
  'sendNetBufferLists',
  'returnNetBufferLists',
  'initiateOffload',
  'terminateOffload',
  'updateOffload',
  'queryOffload',
  'invalidateOffload',
  'tcpOffloadSend',
  'tcpOffloadReceive',
  'tcpOffloadDisconnect',
  'tcpOffloadForward',
  'tcpOffloadReceiveReturn',
];

/** A driver of the wrong shape is the fault of a file, not a breach of a rule. */
export class ShapeError extends UsageError {
  override readonly name: string = 'ShapeError';
}

function checked<T extends unknown[]>(
  text: string,
  make: (...given: T) => MiniportDriver,
): (...given: T) => MiniportDriver {
  return (...given) => {
    const driver = make(...given) as MiniportDriver | undefined | null;
    const missing = wantingOf(driver);
    if (missing.length > 0) {
      throw new ShapeError(`${text}: the factory must answer a MiniportDriver; this one has no ${missing.join(', ')}`);
    }
    return driver as MiniportDriver;
  };
}

function wantingOf(driver: MiniportDriver | undefined | null): string[] {
  if (typeof driver !== 'object' || driver === null) return ['members at all'];
  const missing: string[] = METHODS.filter((method) => typeof driver[method] !== 'function');
  if (typeof driver.hasChimney !== 'boolean') missing.push('hasChimney');
  if (typeof driver.attributes?.name !== 'string') missing.push('attributes with a name');
  return missing;
}
