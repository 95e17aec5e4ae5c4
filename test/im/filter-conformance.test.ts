/** The filter against the conformance suite while its rules change: at every moment of a scenario, and with hosts in no hurry. */
import { expect, test } from 'vitest';
import { explore } from '../../src/conformance/explore.ts';
import type { DriverFactory, TargetFactory } from '../../src/conformance/run.ts';
import { findingText } from '../../src/contract/finding.ts';
import { Filter } from '../../src/im/filter.ts';
import type { IntermediateEnvironment } from '../../src/im/intermediate-driver.ts';
import type { BytesConsumed, NdisOffloadHandle, OffloadBlock } from '../../src/ndis/protocol.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { seed, seedNote } from '../support/seed.ts';

const numeric = [...String(seed)].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);

/** How often it was asked, and how often data came up while it stood still: what a run without these shows is nothing. */
const seen = { asked: 0, refused: 0, kept: 0 };

/** From the n-th call of a connection on no TCP may be offloaded; once it is back it may again. */
class Changing extends Filter {
  #left: number;

  constructor(environment: IntermediateEnvironment, below: string, name: string, calls: number) {
    super(environment, below, { name, rules: [{ action: 'deny', match: 'udp port 9' }] });
    this.#left = calls;
  }
  #count(): void {
    if (--this.#left !== 0) return;
    seen.asked++;
    this.setRules([{ action: 'upload', match: 'tcp' }]);
  }
  protected override initiateCompleting(root: OffloadBlock): void {
    super.initiateCompleting(root);
    this.#count();
  }
  protected override terminateCompleting(root: OffloadBlock): void {
    super.terminateCompleting(root);
    this.setRules([]);
  }
  override tcpOffloadSend(context: unknown, entry: unknown, lists: NetBufferList): number {
    this.#count();
    const before = this.sendListsBelow;
    const answer = super.tcpOffloadSend(context, entry, lists);
    if (this.sendListsBelow === before) seen.kept++;
    return answer;
  }
  override tcpOffloadReceive(context: unknown, entry: unknown, lists: NetBufferList): number {
    this.#count();
    return super.tcpOffloadReceive(context, entry, lists);
  }
  override tcpOffloadDisconnect(context: unknown, entry: unknown, list: NetBufferList, flags: number): number {
    this.#count();
    return super.tcpOffloadDisconnect(context, entry, list, flags);
  }
  override tcpOffloadForward(context: unknown, entry: unknown, lists: NetBufferList): number {
    this.#count();
    return super.tcpOffloadForward(context, entry, lists);
  }
  override tcpOffloadReceiveIndicate(
    handle: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    this.#count();
    const answer = super.tcpOffloadReceiveIndicate(handle, list, status, bytesConsumed);
    if (answer !== 0) seen.refused++;
    return answer;
  }
}

const engine: TargetFactory = (environment) => new EngineAdapter(environment);
const worker: TargetFactory = (environment) => new PairedAdapter(environment);

test.each([
  ['engine', engine, [1, 2, 3, 5]],
  ['worker', worker, [2, 4]],
] as const)(
  'over the %s target: connections asked back at any call stand still until the terminate, however late that comes, and no byte is lost [EVT-019, EVT-012, TERM-058, TERM-060, TERM-061]',
  (_name, target, moments) => {
    const findings: string[] = [];
    for (const calls of moments) {
      const driver: DriverFactory = (environment, below, name) => new Changing(environment, below, name, calls);
      const report = explore({ target, drivers: [driver] }, { seed: numeric, interleavings: 500 });
      for (const one of report.findings) {
        findings.push(`${calls}: ${one.replay} ${findingText(one)} ${one.steps.join(' | ')}`);
      }
    }
    expect(findings, seedNote).toEqual([]);
    expect(Math.min(seen.asked, seen.refused, seen.kept), JSON.stringify(seen)).toBeGreaterThan(100);
  },
  60_000,
);
