/**
 * OID requests to a team: what is asked of one adapter and meant for several.
 *
 * What is set (the chimney enabled, tunables, receive-side scaling, power) is set at every member, so that whichever takes over is configured alike; the
 * answer is that of the member in use. Statistics are those of all members together, for what an earlier member has counted still
 * counts (STAT-031). Everything else is between the protocol above and the member in use. Rules: IM-054, PWR-001.
 */

import { type NdisForProtocol, NdisStatus, Oid, type OidRequest } from '../ndis/protocol.ts';
import type { TeamMember } from './team-member.ts';

/** Counters that live in each member. */
const STATISTICS: ReadonlySet<number> = new Set([
  Oid.IP4_OFFLOAD_STATS,
  Oid.IP6_OFFLOAD_STATS,
  Oid.TCP4_OFFLOAD_STATS,
  Oid.TCP6_OFFLOAD_STATS,
]);

/** One request above, and what has become of its copies below. */
class SharedRequest {
  readonly request: OidRequest;
  readonly copies: Map<OidRequest, TeamMember> = new Map();
  /** The member whose answer counts. */
  readonly first: TeamMember;
  unanswered: number;
  status: number = NdisStatus.FAILURE;
  /** Entered, and not yet left: the answer is the return value. */
  isInside = true;

  constructor(request: OidRequest, members: readonly TeamMember[], first: TeamMember) {
    this.request = request;
    this.first = first;
    this.unanswered = members.length;
    for (const member of members) this.copies.set({ ...request, information: shareOf(request, member, first) }, member);
  }
}

/** The requests that have gone to several members and are not answered by all. */
export class TeamRequests {
  readonly #ndis: NdisForProtocol;
  readonly #complete: (request: OidRequest, status: number) => void;
  readonly #shared: Map<OidRequest, SharedRequest> = new Map();

  constructor(ndis: NdisForProtocol, complete: (request: OidRequest, status: number) => void) {
    this.#ndis = ndis;
    this.#complete = complete;
  }

  /** Whether a request concerns more than the member in use. */
  isShared({ oid, kind }: OidRequest): boolean {
    return kind === 'set' || STATISTICS.has(oid);
  }

  /** MiniportOidRequest for a shared request: a status, or PENDING and the completion later. */
  request(request: OidRequest, members: readonly TeamMember[], first: TeamMember): number {
    const shared = new SharedRequest(request, members, first);
    for (const [copy, member] of shared.copies) {
      this.#shared.set(copy, shared);
      const status = this.#ndis.oidRequest(member.binding, copy);
      if (status !== NdisStatus.PENDING) this.completed(copy, status);
    }
    shared.isInside = false;
    return shared.unanswered === 0 ? shared.status : NdisStatus.PENDING;
  }

  /** ProtocolOidRequestComplete: whether it was one of these. */
  completed(copy: OidRequest, status: number): boolean {
    const shared = this.#shared.get(copy);
    if (shared === undefined) return false;
    this.#shared.delete(copy);
    if (shared.copies.get(copy) === shared.first) shared.status = status;
    if (--shared.unanswered > 0) return true;
    if (shared.request.kind === 'query') shared.request.information = sum([...shared.copies.keys()]);
    if (!shared.isInside) this.#complete(shared.request, shared.status);
    return true;
  }
}

/** Counters that are set are set at one member; the others begin at zero, so that the sum is what was set. */
function shareOf(request: OidRequest, member: TeamMember, first: TeamMember): unknown {
  const { information } = request;
  if (member === first || !STATISTICS.has(request.oid) || !isCounters(information)) return information;
  return Object.fromEntries(Object.entries(information).map(([name, value]) => [name, zeroLike(value)]));
}

/** The counters of all members together; of those that answered. */
function sum(answers: readonly OidRequest[]): unknown {
  const total: Record<string, number | bigint> = {};
  let isAny = false;
  for (const { information } of answers) {
    if (!isCounters(information)) continue;
    isAny = true;
    for (const [name, value] of Object.entries(information)) {
      const before = total[name] ?? zeroLike(value);
      total[name] =
        typeof value === 'bigint' ? BigInt.asUintN(64, (before as bigint) + value) : ((before as number) + value) >>> 0;
    }
  }
  return isAny ? total : null;
}

function zeroLike(value: number | bigint): number | bigint {
  return typeof value === 'bigint' ? 0n : 0;
}

function isCounters(value: unknown): value is Record<string, number | bigint> {
  return typeof value === 'object' && value !== null;
}
