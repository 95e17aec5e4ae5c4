/**
 * The options of a stack: what they are, and what is said about wrong ones.
 *
 * Parsed once, here; everything behind takes them as right. A wrong option is a {@link StackOptionError} that names the option,
 * says what was expected and what was given.
 */

import type { CopyBytes } from './base/copy-bytes.ts';
import { AN_OPTION, checkOptions, type Expectations, integer, isObject, OptionError } from './base/options.ts';
import type { Runtime } from './base/runtime.ts';
import type { SendMemory } from './base/send-memory.ts';
import type { Finding } from './contract/finding.ts';
import type { OffloadPolicy, TakeBackPolicy } from './host/api.ts';
import type { InterfaceConfig } from './host/path/types.ts';
import { DEFAULT_TCP_LIMITS, type TcpOptions } from './host/transport/tcp-transport.ts';
import type { TeamOptions } from './im/team.ts';
import type { Link } from './link/link.ts';
import type { MiniportDriver } from './ndis/miniport.ts';
import { DEFAULT_OFFLOAD_PARAMETERS, type TcpConnectionOffloadParameters } from './ndis/parameters.ts';
import type { LookupFunction } from './socket/arguments.ts';
import { type IntermediateChoice, whyNoIntermediate } from './stack-drivers.ts';
import type { EngineAdapterOptions } from './target/engine/engine.ts';
import { checkEngineOptions, checkTcpParameters } from './target/engine/engine-options.ts';
import type { PacketTap, Trace } from './trace/trace.ts';
import { parseIp } from './wire/ip-address.ts';
import { parsePrefix } from './wire/ip-prefix.ts';

/** What a target of one's own is made from. */
export interface TargetEnvironment {
  readonly link: Link;
  readonly name: string;
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly packetTap: PacketTap | null;
  /** The adapter's MAC, where it is not to choose its own: the members of a team have one. */
  readonly macAddress?: Uint8Array;
}

/** A target: ours by name, ours with options, or one of one's own. 'engine' runs TCP in this thread, 'plain' has no chimney. */
export type TargetChoice =
  | 'engine'
  | 'plain'
  | ({ readonly kind: 'engine' } & Partial<
      Omit<EngineAdapterOptions, 'link' | 'runtime' | 'trace' | 'name' | 'packetTap'>
    >)
  | { readonly kind: 'plain' }
  | ((environment: TargetEnvironment) => MiniportDriver);

/** What every adapter of a stack has, be it one link or a team of several. */
export interface StackAdapter extends InterfaceConfig {
  /** Name of the adapter; default: the link's, of a team that of its first link and '-team'. Unique in the stack. */
  readonly name?: string;
  /** Drivers between, from the target upward. */
  readonly intermediates?: readonly IntermediateChoice[];
  /** Sees every packet of the link and every chimney operation; a PcapngWriter is one. */
  readonly capture?: PacketTap;
}

/** A link and what the stack does with it. */
export interface StackLink extends StackAdapter {
  readonly link: Link;
  /** Default 'engine'. Connections stay on the host path until they are offloaded by hand or by policy. */
  readonly target?: TargetChoice;
  /**
   * Copies received data for applications, where there is something faster than V8 is for the memory in which the target shows them: V8
   * is slow with memory that threads share. The worker target brings one.
   */
  readonly copy?: CopyBytes;
  /** Memory that the target sends from as it lies: sockets write into it. The worker target brings some. */
  readonly sendMemory?: SendMemory;
  readonly team?: never;
}

/** Several links behind one adapter: when one goes down the next takes over. See docs/drivers/team.md. */
export interface TeamLinks extends StackAdapter {
  readonly team: Omit<TeamOptions, 'name'> & { readonly members: readonly TeamMemberLink[] };
  readonly link?: never;
  readonly target?: never;
  readonly copy?: never;
  readonly sendMemory?: never;
}

/** One of the links of a team. */
export interface TeamMemberLink {
  readonly link: Link;
  /** Name of its adapter; default: the link's. */
  readonly name?: string;
  readonly target?: TargetChoice;
}

/** One entry of `links`. */
export type LinkChoice = StackLink | TeamLinks;

/** The name of an adapter. */
export function adapterNameOf(entry: LinkChoice): string {
  if (entry.name !== undefined) return entry.name;
  return entry.team === undefined ? entry.link.name : `${entry.team.members[0]!.link.name}-team`;
}

/** The options of `createStack`. */
export interface StackOptions {
  readonly links: readonly LinkChoice[];
  /** The targets of the links, in their order, where a link does not name its own. One for all, or a list. */
  readonly targets?: TargetChoice | readonly TargetChoice[];
  /** Clock and randomness; default: the system's. */
  readonly runtime?: Runtime;
  /** Finds addresses of names for the stack's sockets, in the form of `dns.lookup`. The default knows `localhost` and addresses. */
  readonly lookup?: LookupFunction;
  /** Which connections are offloaded without being asked; default: none. */
  readonly policy?: OffloadPolicy;
  /** Whether a target's wish to be rid of a connection for a discretionary reason is granted. Default true. */
  readonly grantsOptionalUploads?: boolean;
  /**
   * Whether connections that a target has sent back all together (NDIS_STATUS_UPLOAD_ALL: the member of a team whose link is gone, for
   * example) go down again when it resumes. Default false: whoever offloaded them does it again.
   */
  readonly offloadsAgain?: boolean;
  /** When connections are taken back for reasons of the host's own; default: for none. */
  readonly takeBack?: TakeBackPolicy;
  /** Seats the verifier between every two layers. `true`: findings are collected in `stack.findings`. Default false. */
  readonly verify?: boolean | ((finding: Finding) => void);
  /** Tunables, limits and buffers of the host's TCP. */
  readonly tcp?: TcpOptions;
  /**
   * How often drivers are looked at whether they hang, microseconds. One that leaves a request unanswered over two looks is reset; if that
   * does not help it is removed, and the connections that it had end with an error. Default 5 s; Infinity: never.
   */
  readonly checkForHangUs?: number;
  /** Tunables given to targets. */
  readonly offloadParameters?: Partial<TcpConnectionOffloadParameters>;
}

/** A wrong option of a stack. */
export class StackOptionError extends OptionError {
  override readonly name: string = 'StackOptionError';

  constructor(option: string, expected: string, given: unknown) {
    super('createStack', option, expected, given);
  }
}

const STACK_KEYS: readonly string[] = [
  'links',
  'lookup',
  'targets',
  'runtime',
  'policy',
  'grantsOptionalUploads',
  'offloadsAgain',
  'takeBack',
  'verify',
  'tcp',
  'checkForHangUs',
  'offloadParameters',
];
const LINK_KEYS: readonly string[] = [
  'link',
  'team',
  'name',
  'target',
  'intermediates',
  'capture',
  'copy',
  'sendMemory',
  'addresses',
  'routes',
  'mtu',
  'acceptRouterAdvertisements',
  'acceptRedirects',
  'forwardAll',
  'duplicateAddressDetection',
  'interfaceIdentifier',
  'linkLocal',
  'vlanId',
  'onConflict',
];
const TEAM_KEYS: readonly string[] = [
  'members',
  'failback',
  'onChange',
  'hasChimney',
  'allowOffload',
  'maxOffloadEntries',
  'maxSendLists',
];
const TCP_KEYS: readonly string[] = [
  'parameters',
  'congestion',
  'ecn',
  'limits',
  'receiveBuffer',
  'ephemeralPorts',
  'pushUs',
  'orphanUs',
];
const POLICY_KEYS: readonly string[] = ['afterBytes', 'afterSeconds', 'match'];
const TAKE_BACK_KEYS: readonly string[] = ['onLinkDown', 'onPause', 'afterIdleSeconds', 'byPriority'];

function checkKeys(value: Record<string, unknown>, known: readonly string[], where: string): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw new StackOptionError(`${where}${key}`, `one of ${known.join(', ')}`, AN_OPTION);
  }
}

/** Throws {@link StackOptionError} unless the options are right. */
export function checkStackOptions(options: StackOptions): void {
  try {
    checkAll(options);
  } catch (error) {
    if (!(error instanceof OptionError) || error instanceof StackOptionError) throw error;
    throw new StackOptionError(error.option, error.expected, error.given);
  }
}

function checkAll(options: StackOptions): void {
  if (!isObject(options)) throw new StackOptionError('options', 'an object with links', options);
  checkKeys(options, STACK_KEYS, '');
  if (!Array.isArray(options.links)) throw new StackOptionError('links', 'an array of links', options.links);
  const names = new Set<string>();
  options.links.forEach((link, i) => {
    checkLink(link, `links[${i}]`);
    for (const name of [adapterNameOf(link), ...memberNames(link)]) {
      if (names.has(name)) throw new StackOptionError(`links[${i}].name`, 'a name no other link has', name);
      names.add(name);
    }
  });
  const { targets: given = 'engine' } = options;
  const targets: readonly unknown[] = Array.isArray(given) ? given : [given];
  targets.forEach((target, i) => {
    checkTarget(target, Array.isArray(options.targets) ? `targets[${i}]` : 'targets');
  });
  if (Array.isArray(options.targets) && options.targets.length > options.links.length) {
    throw new StackOptionError('targets', `at most one a link (${options.links.length})`, options.targets);
  }
  checkPolicy(options.policy);
  checkTakeBack(options.takeBack);
  if (options.verify !== undefined && typeof options.verify !== 'boolean' && typeof options.verify !== 'function') {
    throw new StackOptionError('verify', 'true, false or a function that takes findings', options.verify);
  }
  if (options.lookup !== undefined && typeof options.lookup !== 'function') {
    throw new StackOptionError('lookup', 'a function in the form of dns.lookup', options.lookup);
  }
  for (const key of ['offloadsAgain', 'grantsOptionalUploads'] as const) {
    if (options[key] !== undefined && typeof options[key] !== 'boolean') {
      throw new StackOptionError(key, 'true or false', options[key]);
    }
  }
  checkRuntime(options.runtime);
  checkOffloadParameters(options.offloadParameters);
  const { checkForHangUs = 1 } = options;
  if (typeof checkForHangUs !== 'number' || !(checkForHangUs > 0)) {
    throw new StackOptionError('checkForHangUs', 'microseconds above 0, or Infinity', checkForHangUs);
  }
  checkTcp(options.tcp);
}

function checkLink(entry: unknown, where: string): asserts entry is LinkChoice {
  if (!isObject(entry)) throw new StackOptionError(where, 'an object with link and addresses', entry);
  checkKeys(entry, LINK_KEYS, `${where}.`);
  if (entry['team'] === undefined) checkWire(entry['link'], `${where}.link`);
  else checkTeam(entry, where);
  const addresses = entry['addresses'];
  if (!Array.isArray(addresses))
    throw new StackOptionError(`${where}.addresses`, "an array like ['10.0.0.1/24']", addresses);
  addresses.forEach((address, i) => {
    if (typeof address !== 'string' || !address.includes('/') || parsePrefix(address) === null) {
      throw new StackOptionError(
        `${where}.addresses[${i}]`,
        "an address with prefix length like '10.0.0.1/24'",
        address,
      );
    }
  });
  checkRoutes(entry['routes'], `${where}.routes`);
  const mtu = entry['mtu'];
  if (mtu !== undefined && !(Number.isInteger(mtu) && (mtu as number) >= 576 && (mtu as number) <= 65535)) {
    throw new StackOptionError(`${where}.mtu`, 'an integer from 576 to 65535', mtu);
  }
  if (entry['target'] !== undefined) checkTarget(entry['target'], `${where}.target`);
  const { copy, sendMemory } = entry;
  if (copy !== undefined && typeof copy !== 'function') throw new StackOptionError(`${where}.copy`, 'a function', copy);
  if (sendMemory !== undefined && typeof (sendMemory as { take?: unknown } | null)?.take !== 'function') {
    throw new StackOptionError(`${where}.sendMemory`, 'the memory that a target came with', sendMemory);
  }
  const intermediates = entry['intermediates'] ?? [];
  if (!Array.isArray(intermediates)) throw new StackOptionError(`${where}.intermediates`, 'an array', intermediates);
  intermediates.forEach((choice, i) => {
    const expected = whyNoIntermediate(choice);
    if (expected !== null) throw new StackOptionError(`${where}.intermediates[${i}]`, expected, choice);
  });
  const capture = entry['capture'];
  if (
    capture !== undefined &&
    (!isObject(capture) || typeof (capture as { packet?: unknown })['packet'] !== 'function')
  ) {
    throw new StackOptionError(`${where}.capture`, 'a packet tap such as a PcapngWriter', capture);
  }
}

function checkWire(link: unknown, where: string): void {
  if (!isObject(link) || typeof (link as { transmit?: unknown })['transmit'] !== 'function') {
    throw new StackOptionError(where, 'a link (start, transmit, close, medium, mtu)', link);
  }
}

function checkTeam(entry: Record<string, unknown>, where: string): void {
  const { team } = entry;
  if (entry['link'] !== undefined) throw new StackOptionError(`${where}.link`, 'no link beside a team', entry['link']);
  if (entry['target'] !== undefined) {
    throw new StackOptionError(`${where}.target`, 'targets at the members of the team', entry['target']);
  }
  const example = '{ members: [{ link }, { link }] }';
  if (!isObject(team)) throw new StackOptionError(`${where}.team`, `an object like ${example}`, team);
  checkKeys(team, TEAM_KEYS, `${where}.team.`);
  const { members } = team;
  if (!Array.isArray(members) || members.length === 0) {
    throw new StackOptionError(`${where}.team.members`, 'an array of at least one { link, target }', members);
  }
  members.forEach((member: unknown, i) => {
    const here = `${where}.team.members[${i}]`;
    if (!isObject(member)) throw new StackOptionError(here, 'an object with link', member);
    checkKeys(member, ['link', 'name', 'target'], `${here}.`);
    checkWire(member['link'], `${here}.link`);
    if (member['target'] !== undefined) checkTarget(member['target'], `${here}.target`);
  });
}

function memberNames({ team }: LinkChoice): string[] {
  return team === undefined ? [] : team.members.map(({ name, link }) => name ?? link.name);
}

function checkRoutes(routes: unknown, where: string): void {
  if (routes === undefined) return;
  if (!Array.isArray(routes))
    throw new StackOptionError(where, "an array like [{ to: '0.0.0.0/0', via: '10.0.0.254' }]", routes);
  routes.forEach((route, i) => {
    const to: unknown = isObject(route) ? route['to'] : route;
    if (typeof to !== 'string' || parsePrefix(to) === null) {
      throw new StackOptionError(`${where}[${i}].to`, "a prefix like '0.0.0.0/0'", to);
    }
    const via = (route as Record<string, unknown>)['via'];
    if (via !== undefined && (typeof via !== 'string' || parseIp(via) === null)) {
      throw new StackOptionError(`${where}[${i}].via`, "an address like '10.0.0.254'", via);
    }
  });
}

/** What a runtime must have (Runtime). */
const RUNTIME_PARTS: readonly string[] = ['nowUs', 'timer', 'defer', 'urgent'];

function checkRuntime(runtime: unknown): void {
  if (runtime === undefined) return;
  const parts = runtime as Record<string, unknown> | null;
  if (typeof runtime === 'object' && RUNTIME_PARTS.every((part) => typeof parts?.[part] === 'function')) return;
  throw new StackOptionError('runtime', 'a runtime such as new SystemRuntime()', runtime);
}

function checkOffloadParameters(parameters: unknown): void {
  if (parameters === undefined) return;
  if (!isObject(parameters)) throw new StackOptionError('offloadParameters', 'an object', parameters);
  checkKeys(parameters, Object.keys(DEFAULT_OFFLOAD_PARAMETERS), 'offloadParameters.');
}

function checkTarget(target: unknown, where: string): void {
  const kind = isObject(target) ? target['kind'] : target;
  if (isObject(target) && kind === 'engine') {
    const { kind: _kind, ...options } = target;
    checkEngineOptions('createStack', options, {}, `${where}.`);
  }
  if (typeof target === 'function' && /^class\b/.test(String(target))) {
    throw new StackOptionError(where, 'a function, such as (environment) => new MyTarget(environment)', target);
  }
  if (kind === 'engine' || kind === 'plain' || typeof target === 'function') return;
  throw new StackOptionError(
    where,
    "'engine', 'plain', { kind, ...options } or a function that makes a miniport driver",
    target,
  );
}

function checkPolicy(policy: unknown): void {
  if (policy === undefined) return;
  if (!isObject(policy))
    throw new StackOptionError('policy', 'an object with afterBytes, afterSeconds or match', policy);
  checkKeys(policy, POLICY_KEYS, 'policy.');
  for (const key of ['afterBytes', 'afterSeconds']) {
    const value = policy[key];
    if (value !== undefined && !(typeof value === 'number' && value >= 0)) {
      throw new StackOptionError(`policy.${key}`, 'a number from 0 on', value);
    }
  }
  if (policy['match'] !== undefined && typeof policy['match'] !== 'function') {
    throw new StackOptionError('policy.match', 'a function of a connection', policy['match']);
  }
}

function checkTakeBack(takeBack: unknown): void {
  if (takeBack === undefined) return;
  const expected = 'an object with onLinkDown, onPause, afterIdleSeconds or byPriority';
  if (!isObject(takeBack)) throw new StackOptionError('takeBack', expected, takeBack);
  checkKeys(takeBack, TAKE_BACK_KEYS, 'takeBack.');
  for (const key of ['onLinkDown', 'onPause', 'byPriority']) {
    const value = takeBack[key];
    if (value !== undefined && typeof value !== 'boolean') {
      throw new StackOptionError(`takeBack.${key}`, 'true or false', value);
    }
  }
  const idle = takeBack['afterIdleSeconds'];
  if (idle !== undefined && !(typeof idle === 'number' && idle > 0)) {
    throw new StackOptionError('takeBack.afterIdleSeconds', 'a number greater than 0', idle);
  }
}

function checkTcp(tcp: unknown): void {
  if (tcp === undefined) return;
  if (!isObject(tcp)) throw new StackOptionError('tcp', 'an object', tcp);
  checkKeys(tcp, TCP_KEYS, 'tcp.');
  if (tcp['parameters'] !== undefined) checkTcpParameters('createStack', tcp['parameters'], 'tcp.parameters.');
  const { limits } = tcp;
  if (limits !== undefined) checkOptions('createStack', limits, LIMITS, 'tcp.limits.');
  checkPorts(tcp['ephemeralPorts']);
  for (const key of ['pushUs', 'orphanUs']) {
    const value = tcp[key];
    if (value !== undefined && !(typeof value === 'number' && value >= 0)) {
      throw new StackOptionError(`tcp.${key}`, 'microseconds from 0 on', value);
    }
  }
  const buffer = tcp['receiveBuffer'];
  if (buffer !== undefined && !(Number.isInteger(buffer) && (buffer as number) >= 1 && (buffer as number) <= 1 << 30)) {
    throw new StackOptionError('tcp.receiveBuffer', 'bytes, 1 to 2^30', buffer);
  }
  const { congestion, ecn } = tcp;
  if (congestion !== undefined && congestion !== 'newreno' && congestion !== 'cubic') {
    throw new StackOptionError('tcp.congestion', "'newreno' or 'cubic'", congestion);
  }
  if (ecn !== undefined && typeof ecn !== 'boolean') throw new StackOptionError('tcp.ecn', 'true or false', ecn);
}

const LIMITS: Expectations = Object.fromEntries(Object.keys(DEFAULT_TCP_LIMITS).map((key) => [key, integer(0)]));

function checkPorts(ports: unknown): void {
  if (ports === undefined) return;
  const port = integer(1, 65_535);
  const { first, last } = isObject(ports) ? ports : {};
  if (port.holds(first) && port.holds(last) && (first as number) <= (last as number)) return;
  throw new StackOptionError('tcp.ephemeralPorts', '{ first, last }, ports from 1 to 65535', ports);
}
